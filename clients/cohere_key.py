"""A team's Cohere key in memory, and the one place that renews it from its source."""

import asyncio
import hashlib
import time
from typing import Never

from clients.errors import Billing, SecretMissing, UpstreamError
from clients.secrets.source import SecretSource
from cohort.v1 import error_reason_pb2 as reasons

_TAKEN = 200
_REFUSALS = frozenset({401, 403})


class CohereKey:
    """One version of a team's Cohere key. Opaque: it shows its version, never its value.

    Attributes:
        version: Counts the different values seen since the start; safe to log.
        read_at_us: When it was read first.
        digest: The key's name outside of this process, on all replicas the same: a hash. Nobody guesses from it what is
            as random as Cohere's keys are.
    """

    __slots__ = ("_value", "digest", "read_at_us", "version")

    def __init__(self, value: str, version: int) -> None:
        self._value = value
        self.version = version
        self.read_at_us = time.time_ns() // 1000
        self.digest = hashlib.blake2s(value.encode(), digest_size=16, person=b"pace").hexdigest()

    def authorization(self) -> str:
        """The value of the Authorization header; MUST NOT be kept or logged."""
        return f"Bearer {self._value}"

    def same_as(self, value: str) -> bool:
        """Tells whether this version has that value."""
        return self._value == value

    def redacted_from(self, text: str) -> str:
        """Returns the text without the key, should an answer quote it."""
        return text.replace(self._value, "[Cohere key]")

    def __repr__(self) -> str:
        return f"<CohereKey version {self.version}>"

    def __reduce__(self) -> Never:
        raise TypeError("a Cohere key is not copied out of the process")


class KeyRing:
    """The current Cohere key of one team, read from its source and renewed on demand.

    A source that cannot be read leaves the last good version in use.
    """

    def __init__(self, source: SecretSource) -> None:
        self.source = source
        self._current: CohereKey | None = None
        self._rejected: CohereKey | None = None
        self._problem = "not read yet"
        self._renewal = asyncio.Lock()
        self.renew()

    def current(self) -> CohereKey:
        """The version to use for the next attempt.

        Raises:
            UpstreamError: COHERE_KEY_MISSING; the source never held a key.
        """
        if self._current is None:
            raise UpstreamError(
                reasons.ERROR_REASON_COHERE_KEY_MISSING,
                "This team has no Cohere key: its source holds none",
                billing=Billing.NONE,
            )
        return self._current

    @property
    def problem(self) -> str:
        """Why the source could not be read the last time, or ""; names the source, never the value."""
        return self._problem

    @property
    def in_use(self) -> CohereKey | None:
        """The version that `current` gives, or None."""
        return self._current

    @property
    def rejected(self) -> bool:
        """Whether Cohere has refused the version in use, and not taken it since."""
        return self._rejected is not None and self._rejected is self._current

    def answered(self, key: CohereKey, status: int | None) -> None:
        """Keeps what Cohere's answer says of a version.

        Args:
            key: What was sent.
            status: Cohere's HTTP status; None if none came. Of others than 200, 401 and 403 nothing follows.
        """
        if status in _REFUSALS:
            self._rejected = key
        elif status == _TAKEN and self._rejected is key:
            self._rejected = None

    def renew(self) -> bool:
        """Reads the source again; True if that changed the current version."""
        try:
            value = self.source.read()
        except SecretMissing as missing:
            self._problem = str(missing)
            return False
        self._problem = ""
        if self._current is not None and self._current.same_as(value):
            return False
        self._current = CohereKey(value, self._current.version + 1 if self._current else 1)
        return True

    async def renew_after(self, refused: CohereKey) -> bool:
        """Reads the source once for all who were refused on one version; True if another version is current now."""
        async with self._renewal:
            if self._current is refused:
                await asyncio.to_thread(self.renew)
            return self._current is not refused

"""One version of a team's Cohere key in memory."""

import hashlib
import time
from typing import Never


class CohereKey:
    """One version of a team's Cohere key. Opaque: it shows its version, never its value.

    Attributes:
        version: Its number among the team's; safe to log.
        read_at_us: When it was read first.
        digest: The key's name outside of this process, on all replicas the same: a hash. Nobody guesses from it what is
            as random as Cohere's keys are.

    Raises:
        ValueError: The value cannot stand in a header.
    """

    __slots__ = ("_value", "digest", "read_at_us", "version")

    def __init__(self, value: str, version: int) -> None:
        if not value.isascii() or not value.isprintable() or not value or " " in value:
            raise ValueError("a Cohere key is one word of printable ASCII")
        self._value = value
        self.version = version
        self.read_at_us = time.time_ns() // 1000
        self.digest = hashlib.blake2s(value.encode(), digest_size=16, person=b"pace").hexdigest()

    def authorization(self) -> str:
        """The value of the Authorization header; MUST NOT be kept or logged."""
        return f"Bearer {self._value}"

    def reveal(self) -> str:
        """The value alone; MUST NOT be kept elsewhere or logged."""
        return self._value

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

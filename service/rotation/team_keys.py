"""One team's Cohere keys in this replica: the values that it has, and which of them its calls use."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clients.cohere_key import CohereKey
from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import Secret
from service.rotation.deciding import InUse, in_use
from service.rotation.fingerprint import Fingerprints
from service.rotation.history import Cause, History, State, Version
from service.rotation.parts import Checked, TeamWay

READ_WAIT_S = 10.0
"""How long a source may take, whatever keeps it."""
_NEEDED = frozenset({State.STAGED, State.VERIFIED, State.CURRENT, State.PREVIOUS})

T = TypeVar("T")


class TeamKeys:
    """What a replica has of one team.

    Args:
        team: Its name.
        way: Where its key comes from, and who uses it.
        fingerprints: Tell values apart.

    Attributes:
        history: What the database said last.
        turn: Held while its source is looked at, so that several who ask at once make one rotation.
    """

    def __init__(self, team: str, way: TeamWay, fingerprints: Fingerprints) -> None:
        self.team = team
        self.way = way
        self.history = History(team)
        self.turn = asyncio.Lock()
        self._fingerprints = fingerprints
        self._values: dict[bytes, str] = {}
        self._last_read: bytes | None = None
        self._looked_at: list[bytes] = []
        self._in_use: tuple[InUse, int] | None = None

    @property
    def version_in_use(self) -> int | None:
        """The number of the version that calls use here."""
        return None if self._in_use is None else _number(self._in_use[0].current)

    @property
    def read_before(self) -> bytes | None:
        """The fingerprint of what its source held at the last look that was acted on.

        What failed does not count, such as a value that was being written.
        """
        return next((each for each in reversed(self._looked_at) if not self.history.not_taken(each)), None)

    @property
    def lacks_a_version(self) -> bool:
        """Whether the database names a version in use, or kept, whose value is not here."""
        wanted = (self.history.current, self.history.previous)
        return any(each is not None and each.fingerprint not in self._values for each in wanted)

    def looked_at(self, fingerprint: bytes) -> None:
        """Remembers what its source held at a look that was acted on."""
        before = self.read_before
        self._looked_at = [fingerprint] if before is None else [before, fingerprint]

    def rewire(self, way: TeamWay) -> None:
        """Takes another source, Cohere or ring; a ring that is new is given what is in use with the next look."""
        if way.ring is not self.way.ring:
            self._in_use = None
        if way.source.reference != self.way.source.reference:
            self._looked_at = []
        self.way = way

    def keep(self, value: str) -> bytes:
        """Keeps a value as long as a version needs it; its fingerprint."""
        fingerprint = self._fingerprints.of(value)
        self._values[fingerprint] = value
        return fingerprint

    def value_of(self, version: Version | None) -> str | None:
        """The value of a version, None if it is not here."""
        return None if version is None else self._values.get(version.fingerprint)

    async def read(self) -> Secret | Checked:
        """Reads the source, or says why it cannot be."""
        found = await self._read(self.way.source.read)
        self.way.ring.problem = found.message if isinstance(found, Checked) else ""
        if isinstance(found, Secret):
            self._last_read = self.keep(found.reveal())
        return found

    async def read_previous(self) -> None:
        """Keeps what the source says was there before, if it does."""
        found = await self._read(self.way.source.read_previous)
        if isinstance(found, Secret):
            self.keep(found.reveal())

    def put_to_use(self, now_us: int) -> bool:
        """Has calls use what the history says, as far as it is here; True if that is another version than before."""
        chosen = in_use(self.history, self._values, now_us)
        until_us = 0 if chosen.previous is None else chosen.previous.overlap_until_us
        before, self._in_use = self._in_use, (chosen, until_us)
        if before is not None and _numbers(*before) == _numbers(chosen, until_us):
            return False
        self.way.ring.use(self._key(chosen.current), self._key(chosen.previous), until_us or None)
        return before is None or _number(before[0].current) != _number(chosen.current)

    def forget(self) -> None:
        """Drops the values that no version needs any more, but for what the source holds."""
        needed = {each.fingerprint for each in self.history.versions if each.state in _NEEDED}
        if self._in_use is not None and self._in_use[0].current is not None:
            needed.add(self._in_use[0].current.fingerprint)
        if self._last_read is not None:
            needed.add(self._last_read)
        self._values = {fingerprint: value for fingerprint, value in self._values.items() if fingerprint in needed}

    def _key(self, version: Version | None) -> CohereKey | None:
        value = self.value_of(version)
        return None if version is None or value is None else CohereKey(value, version.version)

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T | Checked:
        try:
            async with asyncio.timeout(READ_WAIT_S):
                return await read()
        except SecretMissing as missing:
            return Checked(Cause.KEY_NOT_SET, message=str(missing))
        except SourceUnavailable as unavailable:
            return Checked(Cause.SOURCE_UNAVAILABLE, message=str(unavailable))
        except TimeoutError:
            message = f"{self.way.source.reference}: no answer within {READ_WAIT_S:g} s"
            return Checked(Cause.SOURCE_UNAVAILABLE, message=message)

    def __repr__(self) -> str:
        return f"<TeamKeys of {self.team}, {len(self._values)} values>"


def _number(version: Version | None) -> int | None:
    return None if version is None else version.version


def _numbers(chosen: InUse, until_us: int) -> tuple[int | None, int | None, int]:
    return _number(chosen.current), _number(chosen.previous), until_us

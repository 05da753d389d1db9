"""Tells when the source of a team's Cohere key goes away, and when it is back; and bounds what is asked at once.

Who reads, and when, is decided elsewhere; what was read last stays with who read it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import KeySource, Secret
from service.books.alerts import Alerts

READS_MAX = 8
"""Reads of one kind of source under way at once."""
READ_S_MAX = 9.0
"""What a read may take, with its turn; less than who reads waits, so that it is known here how it ended."""


class Counts(Protocol):
    """What is counted of reads."""

    def key_read(self, kind: str, outcome: str) -> None:
        """A source was read: `read`, `missing` or `unavailable`."""
        ...

    def key_source_told(self, team: str, *, available: bool) -> None:
        """A team's source could be read, or could not."""
        ...

    def key_source_gone(self, team: str) -> None:
        """There is no such team any more."""
        ...


class SourceWatch:
    """Remembers of each team since when its source is away; made inside the event loop.

    Args:
        alerts: Told when a source goes away and when it is back.
        counts: Counts the reads.
    """

    def __init__(self, alerts: Alerts, counts: Counts) -> None:
        self._alerts = alerts
        self._counts = counts
        self._teams: set[str] = set()
        """Whose source was read, or not."""
        self._away_since_s: dict[str, float] = {}
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(READS_MAX))

    def watched(self, team: str, source: KeySource) -> "WatchedSource":
        """The source, with what becomes of each read told."""
        return WatchedSource(team, source, self)

    def keep(self, teams: Collection[str]) -> None:
        """Forgets all other teams."""
        for team in self._teams - set(teams):
            self._away_since_s.pop(team, None)
            self._counts.key_source_gone(team)
        self._teams &= set(teams)

    @asynccontextmanager
    async def turn(self, source: KeySource) -> AsyncIterator[None]:
        """Waits for leave to ask, and bounds the asking.

        Raises:
            SourceUnavailable: It takes too long.
        """
        problem = SourceUnavailable(f"{source.reference}: no answer in time")
        try:
            async with asyncio.timeout(READ_S_MAX), self._turns[source.kind]:
                yield
                return
        except TimeoutError:
            pass
        raise problem

    def got(self, team: str, source: KeySource) -> None:
        """A source was read."""
        self._teams.add(team)
        self._counts.key_read(source.kind, "read")
        self._counts.key_source_told(team, available=True)
        away_since_s = self._away_since_s.pop(team, None)
        if away_since_s is not None:
            away_s = asyncio.get_running_loop().time() - away_since_s
            self._alerts.key_source_back(team, source.reference, away_s)

    def lost(self, team: str, source: KeySource, problem: SecretMissing | SourceUnavailable) -> None:
        """A source could not be read."""
        self._teams.add(team)
        self._counts.key_read(source.kind, "missing" if isinstance(problem, SecretMissing) else "unavailable")
        self._counts.key_source_told(team, available=False)
        if team not in self._away_since_s:
            self._away_since_s[team] = asyncio.get_running_loop().time()
            self._alerts.key_source_unavailable(team, str(problem))


class WatchedSource:
    """See `KeySource`."""

    def __init__(self, team: str, source: KeySource, watch: SourceWatch) -> None:
        self._team = team
        self._source = source
        self._watch = watch

    @property
    def kind(self) -> str:
        """See `KeySource.kind`."""
        return self._source.kind

    @property
    def reference(self) -> str:
        """See `KeySource.reference`."""
        return self._source.reference

    @property
    def path(self) -> Path | None:
        """See `KeySource.path`."""
        return self._source.path

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        try:
            async with self._watch.turn(self._source):
                secret = await self._source.read()
        except (SecretMissing, SourceUnavailable) as problem:
            self._watch.lost(self._team, self._source, problem)
            raise
        self._watch.got(self._team, self._source)
        return secret

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        async with self._watch.turn(self._source):
            return await self._source.read_previous()

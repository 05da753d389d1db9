"""Reads each team's Cohere key from its source in the background, and hands on every value that is new.

No call waits for a source. One that is away leaves its last good value in use, and raises an alert.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import structlog

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import KeySource, Secret
from service.books.alerts import Alerts

AWAY_S = 5.0
"""Seconds between two reads of a source that has never held a key: its team cannot work until it does."""
READS_MAX = 8
"""Reads of one kind of source under way at once, of those that nobody waits for."""
FIRST_S_MAX = 10.0
"""What a start waits for the sources."""
JITTER = 0.1

_log = structlog.get_logger()


class Counts(Protocol):
    """What is counted of reads."""

    def key_read(self, kind: str, outcome: str) -> None:
        """A source was read: `read`, `missing` or `unavailable`."""

    def key_source_told(self, team: str, *, available: bool | None) -> None:
        """A team's source could be read, or could not; None if there is no such team any more."""


class _Reading:
    """What is known of one team's source."""

    def __init__(self, team: str, source: KeySource) -> None:
        self.team = team
        self.source = source
        self.last: Secret | None = None
        self.problem: SecretMissing | SourceUnavailable | None = None
        self.begun = self.answered = 0
        """How many reads have begun, and which one was the last to be answered."""
        self.lock = asyncio.Lock()
        self.tried = asyncio.Event()
        self.wake = asyncio.Event()
        self.away_since_s: float | None = None
        self.task: asyncio.Task[None] | None = None


class KeyReader:
    """Follows the sources of all teams; made inside the event loop.

    Args:
        found: Told of each value that a team's source did not hold before, the first one too. MUST NOT wait.
        alerts: Told when a source goes away and when it is back.
        counts: Counts the reads.
        refresh_s: How often each source is read, a little less at times, so that not all are at once.
        uniform: A random number between two.
    """

    def __init__(
        self,
        found: Callable[[str, Secret], object],
        alerts: Alerts,
        counts: Counts,
        refresh_s: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._found = found
        self._alerts = alerts
        self._counts = counts
        self._refresh_s = refresh_s
        self._uniform = uniform
        self._readings: dict[str, _Reading] = {}
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(READS_MAX))

    def take_over(self, sources: Mapping[str, KeySource]) -> None:
        """Follows these sources from now on; a team whose reference stayed keeps what was read of it."""
        for team in [team for team in self._readings if team not in sources]:
            self._drop(team)
            self._counts.key_source_told(team, available=None)
        for team, source in sources.items():
            reading = self._readings.get(team)
            if reading is not None and reading.source.reference == source.reference:
                reading.source = source
                continue
            if reading is not None:
                self._drop(team)
            reading = self._readings[team] = _Reading(team, source)
            reading.task = asyncio.create_task(self._follow(reading))

    async def first(self) -> None:
        """Waits until every source has been tried, `FIRST_S_MAX` at most: a start does not hang on one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S_MAX):
                for reading in list(self._readings.values()):
                    await reading.tried.wait()

    async def read(self, team: str) -> Secret:
        """Reads a team's source now; all who ask while a read is under way share the next one.

        Raises:
            SecretMissing: The source answers, and holds none.
            SourceUnavailable: It cannot be reached, or refuses to be read.
        """
        reading = self._readings[team]
        # Only a read that began after we were asked is sure to see what the source holds by then.
        begun = reading.begun
        async with reading.lock:
            if reading.answered <= begun:
                await self._read(reading)
            if reading.last is None or reading.problem is not None:
                problem = reading.problem or SourceUnavailable(f"{reading.source.reference}: not read yet")
                raise type(problem)(str(problem))  # each who waited gets one of their own
            return reading.last

    def last(self, team: str) -> Secret | None:
        """The last good value of a team's source, or None."""
        reading = self._readings.get(team)
        return None if reading is None else reading.last

    def problem(self, team: str) -> str:
        """Why the source could not be read the last time, or "", also before the first time; names no value."""
        reading = self._readings.get(team)
        return "" if reading is None or reading.problem is None else str(reading.problem)

    def files(self) -> list[Path]:
        """The files to watch now."""
        return [path for reading in self._readings.values() if (path := reading.source.path) is not None]

    def files_changed(self) -> None:
        """Has the files read again soon."""
        for reading in self._readings.values():
            if reading.source.path is not None:
                reading.wake.set()

    async def close(self) -> None:
        """Ends the following."""
        tasks = [reading.task for reading in self._readings.values() if reading.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, reading: _Reading) -> None:
        while True:
            reading.wake.clear()  # before the read: what changes during it is another change
            try:
                async with self._turns[reading.source.kind]:
                    await self.read(reading.team)
            except (SecretMissing, SourceUnavailable):
                pass  # told by the read
            except Exception as error:
                _log.error("cohere key not read", team=reading.team, exc_info=error)
            reading.tried.set()
            if reading.source.kind == "env" and reading.last is not None:
                return  # it cannot change
            pause_s = self._refresh_s if reading.last is not None else min(AWAY_S, self._refresh_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s * self._uniform(1 - JITTER, 1)):
                    await reading.wake.wait()

    async def _read(self, reading: _Reading) -> None:
        reading.begun += 1
        number = reading.begun
        outcome = "read"
        try:
            secret = await reading.source.read()
        except (SecretMissing, SourceUnavailable) as problem:
            outcome = "missing" if isinstance(problem, SecretMissing) else "unavailable"
            self._lost(reading, problem)
        else:
            self._got(reading, secret)
        reading.answered = number
        self._counts.key_read(reading.source.kind, outcome)
        self._counts.key_source_told(reading.team, available=reading.problem is None)

    def _lost(self, reading: _Reading, problem: SecretMissing | SourceUnavailable) -> None:
        reading.problem = problem.with_traceback(None)
        if reading.away_since_s is None:
            reading.away_since_s = asyncio.get_running_loop().time()
            self._alerts.key_source_unavailable(reading.team, str(problem))

    def _got(self, reading: _Reading, secret: Secret) -> None:
        before, reading.last, reading.problem = reading.last, secret, None
        if reading.away_since_s is not None:
            away_s = asyncio.get_running_loop().time() - reading.away_since_s
            reading.away_since_s = None
            self._alerts.key_source_back(reading.team, reading.source.reference, away_s)
        if before is None or before.reveal() != secret.reveal():
            try:
                self._found(reading.team, secret)
            except Exception as error:  # what becomes of the value is not the source's problem
                _log.error("cohere key not taken", team=reading.team, exc_info=error)

    def _drop(self, team: str) -> None:
        task = self._readings.pop(team).task
        if task is not None:
            task.cancel()

"""This replica's picture of all teams' keys: follows the rows, makes steps in them, and puts versions to use.

What another replica changed is in use here within `INTERVAL_S` and the time of a read; what this one changed, at once.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from service.books.books import GLANCE_WAIT_S, READ_WAIT_S, Books
from service.books.entries import Work
from service.rotation import rows, steps
from service.rotation.fingerprint import Fingerprints
from service.rotation.history import History, Rotation
from service.rotation.machine import Overtaken
from service.rotation.parts import TeamWay
from service.rotation.steps import Step
from service.rotation.team_keys import TeamKeys

_log = structlog.get_logger()


class Replica:
    """Holds the keys of all teams in this process.

    Args:
        books: Where the rows are, and the audit trail.
        fingerprints: Tell values apart.
        name: Another one for each process start.
    """

    def __init__(self, books: Books, fingerprints: Fingerprints, name: str) -> None:
        self.books = books
        self.fingerprints = fingerprints
        self.name = name
        self._teams: dict[str, TeamKeys] = {}
        self._histories: Mapping[str, History] = {}
        self._change: int | None = None
        self._clock_ahead_us = 0
        self._turn = asyncio.Lock()

    @property
    def teams(self) -> Iterable[TeamKeys]:
        """All of them."""
        return tuple(self._teams.values())

    def of(self, team: str) -> TeamKeys | None:
        """One team's keys; None if the config does not name the team."""
        return self._teams.get(team)

    def take_over(self, ways: Mapping[str, TeamWay]) -> None:
        """Takes what the config says of teams into force; the values of a team that stays are kept."""
        teams: dict[str, TeamKeys] = {}
        for team, way in ways.items():
            keys = teams[team] = self._teams.get(team) or TeamKeys(team, way, self.fingerprints)
            keys.rewire(way)
            way.ring.now_us = self.now_us  # overlaps end by the database's clock, whatever this machine's says
            keys.history = self._histories.get(team, keys.history)
        self._teams = teams
        self._put_to_use(teams.values())

    def now_us(self) -> int:
        """The database's time, as of the last look."""
        return self._local_us() + self._clock_ahead_us

    async def refresh(self, wait_s: float = READ_WAIT_S) -> None:
        """Takes the rows as they are now.

        Raises:
            BooksUnavailable: The database does not answer within *wait_s*.
        """
        async with self._turn:  # of two that are read at the same time the older one could come last
            known = self._change
            read = await self.books.glance(lambda tx: rows.read_histories(tx, known), wait_s)
            if isinstance(read, int):
                self._clock_ahead_us = read - self._local_us()
            else:
                self._change, now_us, self._histories = read
                self._clock_ahead_us = now_us - self._local_us()
                for keys in self.teams:
                    keys.history = self._histories.get(keys.team, History(keys.team))
            self._put_to_use(self.teams)

    async def glance(self) -> None:
        """Does what `refresh` does, in the time that a look may take."""
        await self.refresh(GLANCE_WAIT_S)

    async def step(self, keys: TeamKeys, act: Step) -> bool:
        """Makes a step of a team's keys, in use here at once; False if somebody else was faster.

        Raises:
            BooksError: The step is refused, or the database does not answer.
        """
        try:
            async with self._turn:
                history: History = await self.books.change(steps.step(keys.team, act))
                self._took(keys, history)
        except Overtaken:
            await self.refresh()
            return False
        return True

    async def begin(self, keys: TeamKeys, work: Work) -> Rotation | None:
        """Begins a rotation, by work of `steps.begin`; what that gives.

        Raises:
            BooksError: As `step`.
        """
        async with self._turn:
            begun: tuple[Rotation | None, History] = await self.books.change(work)
            self._took(keys, begun[1])
        return begun[0]

    def _took(self, keys: TeamKeys, history: History) -> None:
        keys.history = history
        self._histories = {**self._histories, keys.team: history}
        self._put_to_use([keys])

    def _put_to_use(self, teams: Iterable[TeamKeys]) -> None:
        for keys in teams:
            if keys.put_to_use(self.now_us()) and keys.version_in_use is not None:
                _log.info("cohere key in use", team=keys.team, key_version=keys.version_in_use)
            keys.forget()

    @staticmethod
    def _local_us() -> int:
        return int(asyncio.get_running_loop().time() * 1_000_000)

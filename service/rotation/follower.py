"""Keeps this replica's keys up to date: follows the rows, reads the sources, and does what is due."""

import asyncio
import random
from collections.abc import Coroutine

import structlog

from service.books.errors import BooksError, BooksUnavailable, RotationUnderWay
from service.rotation import deciding, machine
from service.rotation.carrying import Carrier
from service.rotation.history import State
from service.rotation.replica import Replica
from service.rotation.rotations import Rotations
from service.rotation.team_keys import TeamKeys
from service.watch import Stamp, stamp_of

INTERVAL_S = 1.0
START_WAIT_S = 10.0
"""How long a start waits for the sources, and for the database to take what they hold; what a source has later is taken
when it comes."""
WRITE_AGAIN_S = 0.25
LOOK_AGAIN_MIN_S = 1.0
LEARN_AGAIN_S = 60.0

_log = structlog.get_logger()


class Follower:
    """Follows.

    Args:
        replica: This one.
        rotations: Does what follows of what a source holds.
        carrier: Asks whose a version is.
        refresh_s: How often each source is read.
        call_us_max: How long a call can last, with its drain.
    """

    def __init__(
        self, replica: Replica, rotations: Rotations, carrier: Carrier, refresh_s: float, call_us_max: int
    ) -> None:
        self._replica = replica
        self._rotations = rotations
        self._carrier = carrier
        self._refresh_s = refresh_s
        self._call_us_max = call_us_max
        self._look_at_s: dict[str, float] = {}
        self._pause_s: dict[str, float] = {}
        self._seen: dict[str, int | None] = {}
        self._learn_at_s: dict[str, float] = {}
        self._stamps: dict[str, Stamp] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Takes the rows, and each team's key as its source has it; at most `START_WAIT_S` of waiting for sources.

        Raises:
            BooksUnavailable: The database does not answer, or not with a version that a team has none without.
        """
        await self._replica.refresh()
        unwritten: dict[str, BooksUnavailable] = {}
        looks = [self._begin(self._first_look(keys, unwritten)) for keys in self._replica.teams]
        if looks:
            await asyncio.wait(looks, timeout=START_WAIT_S)
        for unavailable in unwritten.values():
            await self.close()
            raise unavailable

    async def follow(self) -> None:
        """Looks again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        while True:
            await asyncio.sleep(begun_s + INTERVAL_S - loop.time())
            begun_s = loop.time()
            try:
                await self._replica.glance()
            except BooksError as error:  # no call that costs begins now, either
                _log.warning("cohere keys not read", problem=str(error))
                continue
            except Exception as error:  # the next look may be better
                _log.error("cohere keys not read", exc_info=error)
                continue
            self._tend_all()

    async def tend_all(self) -> None:
        """Does what is due now, and waits until it is done."""
        self._tend_all()
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Gives up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tend_all(self) -> None:
        for keys in self._replica.teams:
            self._tend(keys)

    def _tend(self, keys: TeamKeys) -> None:
        now_s = asyncio.get_running_loop().time()
        current = keys.history.current
        number = None if current is None else current.version
        if self._seen.get(keys.team) != number:
            self._seen[keys.team] = number
            self._pause_s[keys.team] = LOOK_AGAIN_MIN_S
            self._learn_at_s[keys.team] = now_s
            if keys.lacks_a_version:
                self._look_at_s[keys.team] = now_s
        path = keys.way.source.path
        if path is not None and self._stamps.get(keys.team) != (stamp := stamp_of([path])):
            self._stamps[keys.team] = stamp
            self._look_at_s[keys.team] = now_s
        if now_s >= self._look_at_s.get(keys.team, 0.0):
            self._look_at_s[keys.team] = now_s + self._pause(keys)
            self._begin(self._look(keys))
        if current is not None and not current.organization_id and now_s >= self._learn_at_s.get(keys.team, 0.0):
            self._learn_at_s[keys.team] = now_s + LEARN_AGAIN_S
            self._begin(self._carrier.learn(keys))
        for due in deciding.due(keys.history, self._call_us_max, self._replica.now_us()):
            self._begin(self._do(keys, due))

    def _pause(self, keys: TeamKeys) -> float:
        """How long until the next look: short after news that is not here yet, then longer and longer."""
        pause_s = self._pause_s.get(keys.team, self._refresh_s)
        if not keys.lacks_a_version or pause_s >= self._refresh_s:
            return self._refresh_s * random.uniform(0.9, 1.0)  # noqa: S311 (replicas are to be apart, no secret)
        self._pause_s[keys.team] = pause_s * 2
        return pause_s

    async def _first_look(self, keys: TeamKeys, unwritten: dict[str, BooksUnavailable]) -> None:
        """Looks until the database takes what follows of it, if the team has no key before.

        Args:
            keys: The team's.
            unwritten: By team, why its version is not written yet.
        """
        while True:
            try:
                await self._rotations.look(keys)
                if keys.version_in_use is None:
                    # Its source holds what a replica that is dead now was rotating to.
                    await self._rotations.over(keys)
            except BooksUnavailable as error:
                if keys.version_in_use is not None:
                    raise
                unwritten[keys.team] = error
            else:
                unwritten.pop(keys.team, None)
                return
            await asyncio.sleep(WRITE_AGAIN_S)

    async def _look(self, keys: TeamKeys) -> None:
        try:
            await self._rotations.look(keys)
        except BooksError as error:  # nothing followed of what lies in the source, and the next look may be far away
            self._look_at_s[keys.team] = asyncio.get_running_loop().time() + LOOK_AGAIN_MIN_S
            if not isinstance(error, RotationUnderWay):
                raise

    async def _do(self, keys: TeamKeys, due: deciding.Due) -> None:
        if due.to is State.RETIRED:
            await self._replica.step(keys, lambda history, now_us: machine.retire(history, due.rotation_id, now_us))
        elif due.to is State.DESTROYED:
            await self._replica.step(
                keys, lambda history, now_us: machine.destroy(history, due.rotation_id, self._call_us_max, now_us)
            )
        else:
            await self._rotations.go_on(keys, due.rotation_id)

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._done(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @staticmethod
    async def _done(work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except BooksError as error:
            _log.warning("cohere keys not tended", problem=str(error))
        except Exception as error:  # the next round may be better
            _log.error("cohere keys not tended", exc_info=error)

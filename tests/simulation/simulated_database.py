"""A database that replicas reach over a bad network: SQLite in memory, with the waiting of PostgreSQL around it.

A transaction sees what others commit until its first write. Then it waits for one lock, which stands for all row
locks, has it for a while, and does the rest in a single step, COMMIT included: nobody sees half of it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Literal, TypeAlias, TypeVar

import apsw

from service.storage.database import Row, Script, Value, Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable, LockTimeout, StorageError
from service.storage.migrate import migrations
from service.storage.sqlite_transaction import SqliteTransaction, drive
from service.storage.steps import work_of
from tests.simulation.oracles import Oracles
from tests.simulation.scenarios import Scenario
from tests.simulation.simulated_time import NOBODY, Process, current_process

T = TypeVar("T")
Hop: TypeAlias = Callable[[tuple[float, float]], Awaitable[None]]
"""Lets a message take its time, between so many seconds; and its sender may be struck meanwhile."""

MESSAGE_S = (0.0001, 0.0006)
ROW_LOCKED_S = (0.0001, 0.0008)
LOCK_TIMEOUT_S = 0.5
IDLE_TIMEOUT_S = 0.5
"""After which a transaction is ended whose client says nothing."""
WATCH_S = 5.5
"""After which a client cuts a connection that says nothing."""


class Server:
    """The one state, its clock and its lock.

    Args:
        loop: Where time passes.
        start_us: What the clock shows when the run begins, µs since 1970.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, start_us: int) -> None:
        self._loop = loop
        self._start_us = start_us
        self._holder: _Transaction | None = None
        self._queue: deque[tuple[_Transaction, asyncio.Future[None]]] = deque()
        self.connection = apsw.Connection(":memory:")
        self.connection.create_scalar_function("clock_us", lambda *_: self.now_us(), 0)
        for statement in (statement for step in migrations() for statement in step.statements):
            self.connection.execute(statement)
        self.cursor = self.connection.cursor()
        self.is_down = False
        self.outages = 0
        self.commits = 0

    def now_us(self) -> int:
        return self._start_us + round(self._loop.time() * 1e6)

    async def lock(self, tx: "_Transaction", timeout_s: float) -> None:
        """Gives *tx* the lock in its turn.

        Raises:
            LockTimeout: Its turn did not come.
        """
        if self._holder is None:
            self._holder = tx
            return
        turn = self._loop.create_future()
        self._queue.append((tx, turn))
        timer = self._loop.call_later(timeout_s, _expire, turn, context=NOBODY)
        await turn
        timer.cancel()

    def unlock(self, tx: "_Transaction") -> None:
        if self._holder is not tx:
            return
        self._holder = None
        while self._queue and self._holder is None:
            following, turn = self._queue.popleft()
            if not turn.done():
                self._holder = following
                turn.set_result(None)
                if following.process is not None and following.process.is_stopped:
                    self.abandon(following)

    def miss(self, process: Process) -> None:
        """Nothing comes from *process* any more, or at least not for a while."""
        if self._holder is not None and self._holder.process is process:
            self.abandon(self._holder)

    def abandon(self, tx: "_Transaction") -> None:
        """Gives a transaction up if it is still there after a while."""
        self._loop.call_later(IDLE_TIMEOUT_S, self._end, tx, context=NOBODY)

    def _end(self, tx: "_Transaction") -> None:
        if self._holder is tx:
            tx.has_been_ended = True
            self.unlock(tx)

    def go_down(self) -> None:
        self.is_down = True
        self.outages += 1
        if self._holder is not None:
            self._end(self._holder)

    def come_back(self, step_us: int) -> None:
        """Serves again, with a clock that goes on elsewhere."""
        self.is_down = False
        self._start_us += step_us


def _expire(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(LockTimeout("another transaction has the row"))


class _Transaction(SqliteTransaction):
    def __init__(self, server: Server, hop: Hop, lock_timeout_s: float) -> None:
        super().__init__(server.cursor)
        self._server, self._hop, self._lock_timeout_s = server, hop, lock_timeout_s
        self._commits_seen: int | None = None
        self._failure: StorageError | None = None
        self.process = current_process()
        self.is_writing = False
        self.has_been_ended = False
        self.was_overtaken = False
        """Others have committed between two of its statements."""

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        if sql.lstrip().startswith("SELECT"):
            self._look()
            return await super().fetch(sql, *values)
        changes = await self._begin_writing()
        rows = await super().fetch(sql, *values)
        self._keep_the_lock_if_changed(changes)
        return rows

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        changes = await self._begin_writing()
        result = await super().fetch_each(sql, rows)
        self._keep_the_lock_if_changed(changes)
        return result

    def require_sound(self) -> None:
        if self._failure is not None:
            raise self._failure
        super().require_sound()

    def commit(self) -> None:
        if self.is_writing:
            self._cursor.execute("COMMIT")
            self.is_writing = False
            self._server.commits += 1
            self._server.unlock(self)

    def roll_back(self, *, frees_lock: bool = True) -> None:
        if self.is_writing:
            self._cursor.execute("ROLLBACK")
            self.is_writing = False
        if frees_lock:
            self._server.unlock(self)

    def _look(self) -> None:
        """A statement arrives."""
        if self._server.is_down or self.has_been_ended:
            self._failure = DatabaseUnavailable("the connection is gone")
            raise self._failure
        commits = self._server.commits
        self.was_overtaken |= self._commits_seen not in {None, commits}
        self._commits_seen = commits

    async def _begin_writing(self) -> int:
        self.require_sound()
        if not self.is_writing:
            self._commits_seen = self._server.commits if self._commits_seen is None else self._commits_seen
            try:
                await self._server.lock(self, self._lock_timeout_s)
            except LockTimeout as error:
                self._failure = error
                raise
            await self._hop(ROW_LOCKED_S)
            self._look()
            self._cursor.execute("BEGIN IMMEDIATE")
            self.is_writing = True
            self._changes = self._server.connection.total_changes()
        return self._changes

    def _keep_the_lock_if_changed(self, changes: int) -> None:
        """An UPDATE that finds no row locks none, and what others commit then is seen."""
        if self._server.connection.total_changes() == changes:
            self._cursor.execute("COMMIT")
            self.is_writing = False
            self._server.unlock(self)


class SimulatedDatabase:
    """One replica's connections; a `Database`."""

    engine: Literal["sqlite"] = "sqlite"
    warnings: Sequence[str] = ()

    def __init__(self, server: Server, scenario: Scenario, rng: Random, hop: Hop, oracles: Oracles) -> None:
        self._server, self._scenario, self._rng, self._hop, self._oracles = server, scenario, rng, hop, oracles

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        lost = self._rng.choice(("statement", "commit", "answer")) if self._rng.random() < self._scenario.lost else ""
        await self._hop(MESSAGE_S)
        if lost == "statement":
            await self._hear_nothing()
        if lost == "statement" or self._server.is_down:
            raise DatabaseUnavailable("the server does not answer")
        tx = _Transaction(self._server, self._hop, lock_timeout_s or LOCK_TIMEOUT_S)
        try:
            result = await work(tx)
            tx.require_sound()
        except BaseException:
            tx.roll_back()
            raise
        if lost:
            self._oracles.repeat_later(result)
        if lost == "commit":
            tx.roll_back(frees_lock=False)
            self._server.abandon(tx)
            await self._hear_nothing()
            raise CommitUncertain("COMMIT was lost")
        outages = self._server.outages
        tx.commit()
        self._oracles.look_at_transaction(result, was_overtaken=tx.was_overtaken)
        if lost == "answer":
            await self._hear_nothing()
        await self._hop(MESSAGE_S)
        if lost == "answer" or self._server.outages != outages:
            raise CommitUncertain("the answer to COMMIT was lost")
        return result

    async def run(self, script: Script[T]) -> T:
        return await self.transact(work_of(script))

    async def read(self, work: Work[T]) -> T:
        await self._hop(MESSAGE_S)
        if self._server.is_down:
            raise DatabaseUnavailable("the server does not answer")
        return drive(work(SqliteTransaction(self._server.cursor)))

    async def glance(self, work: Work[T]) -> T:
        return await self.read(work)

    async def now_us(self) -> int:
        return self._server.now_us()

    async def close(self) -> None:
        """There is nothing to close."""

    async def _hear_nothing(self) -> None:
        """A connection that is reset shows it at once; one whose messages vanish is cut after a while."""
        await asyncio.sleep(self._rng.choice((0.0, WATCH_S)))

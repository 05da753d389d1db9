"""A database in simulated time that fails as it is told to: SQLite in memory, and nothing waits for a thread.

A test runs by `in_simulated_time`: time passes when there is nothing left to do, and if everybody waits for ever, it
fails.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import apsw

from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.storage.database import Row, Script, Transaction, Value, Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable, LockTimeout, StorageError, ValueRefused
from service.storage.migrate import migrate
from service.storage.sqlite_transaction import SqliteTransaction
from service.storage.steps import work_of
from tests.simulation.simulated_time import SimulatedLoop

T = TypeVar("T")
Fault: TypeAlias = Literal["", "begin", "statement", "commit", "answer"]
"""What of the next transaction fails: nothing; BEGIN; the first statement that writes; COMMIT, of which nobody knows
whether it was done, and it was not; or only its answer."""

START_US = 1_795_000_000_000_000
_HAS_TABLES = "SELECT 1 FROM sqlite_master WHERE name = 'audit'"
_NEW_RECORDS = "SELECT rowid, call_id FROM audit WHERE rowid > ? ORDER BY rowid"
COMMIT_S = 0.001
LOCK_TIMEOUT_S = 0.5
TIME_MAX_S = 3600.0


def in_simulated_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a test of a coroutine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            runner.run(asyncio.wait_for(test(*args, **kwargs), TIME_MAX_S))

    return run


class _Transaction:
    """A `Transaction` that meets locks and faults.

    Attributes:
        failure: Why it cannot be committed any more.
    """

    def __init__(self, database: "ScriptedDatabase", fault: Fault, lock_timeout_s: float) -> None:
        self._tx: Transaction = SqliteTransaction(database.cursor)
        self._database, self._fault, self._lock_timeout_s = database, fault, lock_timeout_s
        self.failure: StorageError | None = None

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        return await self._run(sql, [values], self._tx.fetch(sql, *values))

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        return await self._run(sql, rows, self._tx.fetch_each(sql, rows))

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        await self._run(sql, rows, self._tx.fetch_each(sql, rows))

    async def _run(
        self, sql: str, rows: Sequence[Sequence[Value]], statement: Coroutine[Any, Any, list[Row]]
    ) -> list[Row]:
        try:
            if self.failure is None and not sql.lstrip().startswith("SELECT"):
                await self._meet({value for row in rows for value in row})
            if self.failure is not None:
                raise self.failure
            return await statement
        except StorageError as error:
            self.failure = error
            raise
        finally:
            statement.close()

    async def _meet(self, values: set[Value]) -> None:
        """What can befall a statement that writes these values."""
        if self._fault == "statement":
            raise DatabaseUnavailable("the disk")
        if not self._database.locked.isdisjoint(values):
            await asyncio.sleep(self._lock_timeout_s)
            raise LockTimeout("another replica has the row")
        if not self._database.refused.isdisjoint(values):
            raise ValueRefused("no column holds this")


@dataclass
class ScriptedDatabase:
    """A `Database`.

    Attributes:
        faults: Of the next transactions, the first one first; afterwards there are none.
        is_down: Every transaction fails at BEGIN.
        is_full: Every transaction that writes fails.
        locked: Values, such as a team's name: a transaction that writes one meets a locked row.
        refused: Values that cannot be written.
        steps_us: By how much its clock has been set forwards.
        gate: Closed, a transaction does not come to its COMMIT.
        commits: The call ids of the records that each transaction wrote, and how long it took, in seconds.
    """

    engine: Literal["sqlite"] = "sqlite"
    warnings: Sequence[str] = ()
    faults: deque[Fault] = field(default_factory=deque)
    is_down: bool = False
    is_full: bool = False
    locked: set[Value] = field(default_factory=set)
    refused: set[Value] = field(default_factory=set)
    steps_us: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    commits: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        connection = apsw.Connection(":memory:")
        connection.create_scalar_function("clock_us", self._now_us, 0)
        self.cursor = connection.cursor()
        self.gate.set()
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._has_tables = False
        self._last = 0

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        task = asyncio.get_running_loop().create_task(self._transact(work, lock_timeout_s or LOCK_TIMEOUT_S))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def run(self, script: Script[T]) -> T:
        return await self.transact(work_of(script))

    async def read(self, work: Work[T]) -> T:
        if self.is_down:
            raise DatabaseUnavailable("down")
        return await work(SqliteTransaction(self.cursor))

    async def glance(self, work: Work[T]) -> T:
        return await self.read(work)

    async def now_us(self) -> int:
        return self._now_us()

    async def close(self) -> None:
        self.is_down = True

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()

    def _now_us(self, *_: object) -> int:
        return START_US + self.steps_us + round(asyncio.get_running_loop().time() * 1e6)

    async def _transact(self, work: Work[T], lock_timeout_s: float) -> T:
        async with self._turn:
            fault = self.faults.popleft() if self.faults else ""
            if self.is_down or fault == "begin":
                raise DatabaseUnavailable("down")
            self.cursor.execute("BEGIN IMMEDIATE")
            try:
                result = await self._run(work, "statement" if self.is_full else fault, lock_timeout_s)
            except BaseException:
                self.cursor.execute("ROLLBACK")
                raise
            written = self._written()
            self.cursor.execute("COMMIT")
            self.commits.append(written)
            if fault == "answer":
                raise CommitUncertain("the answer did not come")
            return result

    async def _run(self, work: Work[T], fault: Fault, lock_timeout_s: float) -> T:
        tx = _Transaction(self, fault, lock_timeout_s)
        result = await work(tx)
        if tx.failure is not None:
            raise tx.failure
        await self.gate.wait()
        await asyncio.sleep(COMMIT_S)
        if fault == "commit":
            raise CommitUncertain("the answer did not come")
        return result

    def _written(self) -> list[str]:
        if not self._has_tables:
            self._has_tables = bool(self.cursor.execute(_HAS_TABLES).fetchall())
            return []
        rows = self.cursor.execute(_NEW_RECORDS, (self._last,)).fetchall()
        self._last += len(rows)  # nothing is ever deleted
        return [str(call_id) for _, call_id in rows]


class Scene:
    """A committer in front of a scripted database.

    Attributes:
        clock: Dates what it writes.
        told: What the committer told of the database, in order.
    """

    def __init__(self, database: ScriptedDatabase) -> None:
        self.database = database
        self.told: list[bool] = []
        self.clock = DatabaseClock(START_US, self._monotonic_ns)
        self.committer = Committer(database, self.clock, self.told.append, lambda: 1.0, gather=lambda: asyncio.sleep(0))

    @classmethod
    async def new(cls) -> "Scene":
        database = ScriptedDatabase()
        await migrate(database)
        database.commits.clear()
        return cls(database)

    @staticmethod
    def _monotonic_ns() -> int:
        return round(asyncio.get_running_loop().time() * 1e9)

"""SQLite and PostgreSQL as one database: each transaction runs on both, and both must tell and hold the same."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from service.books.batch import HoldMissing, Written, write_batch
from service.books.batch_writer import BatchWriter
from service.books.entries import Admitted, Entry, Settled
from service.books.errors import BooksError
from service.books.operations import Held
from service.books.period import Period
from service.books.trail import Pen
from service.storage.database import Database, Transaction, Work
from service.storage.errors import DatabaseUnavailable
from service.storage.migrate import migrate
from service.storage.postgres import PostgresDatabase
from service.storage.sqlite import SqliteDatabase
from tests.books.model import Told
from tests.books.oracle import Tables, tables_of

T = TypeVar("T")

_EMPTIED = (
    "budget", "budget_period", "call_hold", "budget_adjust", "audit", "audit_writer", "usage_day", "usage_quarter",
)  # fmt: skip
_TRIES = 5
_CLOCK = "CREATE TABLE test_clock (now_us BIGINT NOT NULL)"
_CLOCK_US = """
CREATE OR REPLACE FUNCTION clock_us() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE
AS 'SELECT now_us FROM test_clock'"""


class Lost(Exception):
    """A commit that does not come to pass."""


class Lockstep:
    """Two databases with one clock, on an event loop of their own."""

    def __init__(self, folder: Path, postgres_url: str) -> None:
        self._runner = asyncio.Runner()
        self._now_us = 0
        self._databases: tuple[Database, ...] = ()
        self._run(self._open(folder, postgres_url))
        self.transactions = 0

    def close(self) -> None:
        for database in self._databases:
            self._run(database.close())
        self._runner.close()

    def empty(self) -> None:
        """Forgets everything, as before the first start."""

        async def delete(tx: Transaction) -> None:
            for table in _EMPTIED:
                await tx.fetch(f"DELETE FROM {table}")

        for database in self._databases:
            self._run(_transact(database, delete))

    def set_clock(self, now_us: int) -> None:
        """Sets what `clock_us()` says."""
        self._now_us = now_us
        self._run(_transact(self._databases[1], lambda tx: tx.fetch("UPDATE test_clock SET now_us = $1", now_us)))

    def write(
        self, entries: Sequence[Entry], pen: Pen, periods: Mapping[str, Period], now_us: int, *, lost: bool = False
    ) -> tuple[list[Told], Written | None] | type[Exception]:
        """Writes a batch to both.

        Args:
            entries: As of `write_batch`, and so are the next three.
            pen: Where the writer's chain ends.
            periods: Where it believes to be.
            now_us: What it believes the time to be.
            lost: The transaction is rolled back in the end.

        Returns:
            What each entry's waiter is told, and the rest, None if an operation was refused; or how it failed.
        """
        ends = [self._run(self._write(each, entries, pen, periods, now_us, lost=lost)) for each in self._databases]
        self.transactions += 1
        assert ends[0] == ends[1], ends
        return ends[0][0] if isinstance(ends[0][0], type) else ends[0]

    def tables(self) -> Tables:
        """What both hold."""
        one: Tables
        one, other = (self._run(tables_of(database)) for database in self._databases)
        assert one == other
        return one

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    async def _open(self, folder: Path, postgres_url: str) -> None:
        sqlite = SqliteDatabase(folder / "books.db", clock_us=lambda: self._now_us)
        postgres = PostgresDatabase(postgres_url)
        self._databases = (sqlite, postgres)
        for database in (sqlite, postgres):
            await database.open()
        await migrate(sqlite)
        for statement in (_CLOCK, "INSERT INTO test_clock VALUES (0)", _CLOCK_US):
            await _transact(postgres, _statement(statement))

    async def _write(
        self,
        database: Database,
        entries: Sequence[Entry],
        pen: Pen,
        periods: Mapping[str, Period],
        now_us: int,
        *,
        lost: bool,
    ) -> Any:
        async def work(tx: Transaction) -> Written:
            await write_batch(tx, entries, pen, periods, now_us)
            raise Lost

        async def write() -> Written:
            if lost:
                return await database.transact(work)
            return await BatchWriter(database).write(entries, pen, periods, now_us)  # a script, where all is foreseen

        try:
            written = await _patiently(write)
        except Exception as error:
            if isinstance(error, BooksError):
                return [told_of(error)], None
            return type(error), None
        results = dict(written.results)
        assert len(results) == len(written.results) == len(entries)
        return [told_of(results[entry]) for entry in entries], written._replace(results=[])


async def _transact(database: Database, work: Work[T]) -> T:
    return await _patiently(lambda: database.transact(work))


async def _patiently(write: Callable[[], Awaitable[T]]) -> T:
    """Once more if PostgreSQL has lost its patience with a machine that has much to do; nothing is done then."""
    for _ in range(_TRIES):
        with contextlib.suppress(DatabaseUnavailable):
            return await write()
    return await write()


def _statement(sql: str) -> Work[Any]:
    return lambda tx: tx.fetch(sql)


def told_of(result: Any) -> Told:
    """A result as the model tells it."""
    match result:
        case None:
            return ("written",)
        case Admitted(period, at_us):
            return ("admitted", period.start_us, period.end_us, at_us)
        case Settled(committed_nanos):
            return ("settled", committed_nanos)
        case Held(standing, held_nanos):
            period = standing.period
            return ("held", period.start_us, period.end_us, standing.committed_nanos, held_nanos, standing.frozen_at_us)
        case int(count):
            return ("forfeited", count)
        case HoldMissing():
            return ("missing",)
        case BooksError():
            return (type(result).__name__, *vars(result).values())
        case _:
            raise AssertionError(result)

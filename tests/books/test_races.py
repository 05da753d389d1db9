"""Replicas that meet at one budget, each stopped where the other one is in its way."""

import asyncio
from collections.abc import Sequence

from service.books.entries import Admitted
from service.books.errors import BudgetInFlight
from service.storage.database import Row, Transaction, Value
from service.storage.postgres import PostgresDatabase
from tests.books.making import admission, note, settlement
from tests.books.oracle import require_sound
from tests.books.writer import Writer
from tests.databases import Clock, Opener

SECOND_US = 1_000_000


class Stopping:
    """A transaction that stops before a statement of its writer's, until it is let go."""

    def __init__(self, tx: Transaction, writer: "StoppingWriter") -> None:
        self._tx, self._writer = tx, writer

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        await self._stop(sql)
        return await self._tx.fetch(sql, *values)

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        await self._stop(sql)
        return await self._tx.fetch_each(sql, rows)

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        await self._stop(sql)
        await self._tx.execute_each(sql, rows)

    async def _stop(self, sql: str) -> None:
        if self._writer.stops_before(sql):
            self._writer.stopped.set()
            await self._writer.go.wait()


class StoppingWriter(Writer):
    """A replica that can be made to stop in its next transaction."""

    _word: str | None = None

    def stop_before(self, word: str, count: int = 1) -> None:
        """It stops before the statement that is the *count*th to have a word."""
        self._word, self._count = word, count
        self.stopped, self.go = asyncio.Event(), asyncio.Event()

    def stops_before(self, sql: str) -> bool:
        if self._word is not None and self._word in sql:
            self._count -= 1
            return self._count == 0
        return False

    def through(self, tx: Transaction) -> Transaction:
        return Stopping(tx, self)


async def test_a_budget_is_not_called_spent_because_an_attempt_ends_while_it_is_looked_at(
    postgres_database: PostgresDatabase, open_replica: Opener
) -> None:
    first = Writer(await open_replica())
    running = admission(hold_nanos=90, limit_nanos=100)
    admitted = await first.one(running)
    second = StoppingWriter(postgres_database)
    second.stop_before("state = 'open'")

    asking = asyncio.create_task(second.one(admission(hold_nanos=50, limit_nanos=100)))
    await second.stopped.wait()
    await first.one(settlement(running, admitted, 5))
    second.go.set()

    assert isinstance(await asking, Admitted | BudgetInFlight)
    await require_sound(postgres_database)


async def test_a_budget_is_not_called_spent_because_an_attempt_begins_while_it_is_looked_at(
    postgres_database: PostgresDatabase, open_replica: Opener
) -> None:
    first = Writer(await open_replica())
    running = admission(hold_nanos=90, limit_nanos=100)
    await first.one(running)
    second = StoppingWriter(postgres_database)
    second.stop_before("state = 'open'")

    asking = asyncio.create_task(second.one(admission(hold_nanos=50, limit_nanos=100)))
    await second.stopped.wait()
    await first.one(admission(hold_nanos=10, limit_nanos=100))
    second.go.set()
    refused = await asking

    assert isinstance(refused, BudgetInFlight)
    assert refused.spent_nanos == 0


async def test_replicas_that_end_attempts_of_yesterday_while_today_begins_do_not_wait_in_a_circle(
    postgres_database: PostgresDatabase, open_replica: Opener, clock: Clock
) -> None:
    first, second = StoppingWriter(postgres_database), Writer(await open_replica())
    old, older = admission(), admission()
    admitted_old, admitted_older = await first.one(old), await second.one(older)
    await clock.shift(admitted_old.period.end_us - clock.now_us() + SECOND_US)
    await first.one(admission())
    first.stop_before("UPDATE budget_period", 2)

    ending = asyncio.create_task(first.write(settlement(old, admitted_old, 5), admission()))
    await first.stopped.wait()
    other = asyncio.create_task(second.write(settlement(older, admitted_older, 5), admission()))
    await asyncio.sleep(0.1)
    first.go.set()

    await asyncio.gather(ending, other)
    await require_sound(postgres_database)


async def test_replicas_whose_refusals_and_holds_open_a_day_do_not_wait_in_a_circle(
    postgres_database: PostgresDatabase, open_replica: Opener
) -> None:
    first, second = StoppingWriter(postgres_database), Writer(await open_replica())
    await first.one(admission("b"))
    first.stop_before("INSERT INTO budget (")

    noting = asyncio.create_task(first.write(admission("b"), note("a")))
    await first.stopped.wait()
    holding = asyncio.create_task(second.write(admission("a"), admission("b")))
    await asyncio.sleep(0.1)
    first.go.set()

    await asyncio.gather(noting, holding)
    await require_sound(postgres_database)

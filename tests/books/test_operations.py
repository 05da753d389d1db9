"""What operators change, on either engine, where the calendar and the clock make it hard."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pytest

from service.books import operations
from service.books.entries import UTC, Admitted
from service.books.errors import RequestIdReused, TeamFrozen
from service.books.operations import Held, Operator
from service.books.period import Period, period_at
from service.storage.database import Database, Row, Transaction, Value
from tests.books.making import admission
from tests.books.oracle import require_sound
from tests.books.writer import Writer
from tests.databases import Clock, Opener

BY = Operator("ops", "why")
SECOND_US, HOUR_US = 1_000_000, 3_600_000_000
TOKYO = ZoneInfo("Asia/Tokyo")


async def set_to(clock: Clock, at_us: int) -> None:
    await clock.shift(at_us - clock.now_us())


def today(clock: Clock) -> Period:
    return period_at(UTC, clock.now_us())


async def test_a_frozen_team_stays_frozen_when_the_clock_is_set_back_over_midnight(
    database: Database, clock: Clock
) -> None:
    writer = Writer(database)
    midnight_us = today(clock).end_us
    await set_to(clock, midnight_us - 60 * SECOND_US)
    await writer.one(admission())
    await set_to(clock, midnight_us + SECOND_US)
    await writer.one(operations.freeze("search", UTC, BY, frozen=True))
    await set_to(clock, midnight_us - 30 * SECOND_US)

    assert isinstance(await writer.one(admission()), TeamFrozen)
    await require_sound(database)


async def test_a_team_that_is_let_go_can_spend_when_the_clock_is_set_back_over_midnight(
    database: Database, clock: Clock
) -> None:
    writer = Writer(database)
    midnight_us = today(clock).end_us
    await set_to(clock, midnight_us - 60 * SECOND_US)
    await writer.one(admission())
    await writer.one(operations.freeze("search", UTC, BY, frozen=True))
    await set_to(clock, midnight_us + SECOND_US)
    await writer.one(operations.freeze("search", UTC, BY, frozen=False))
    await set_to(clock, midnight_us - 30 * SECOND_US)

    assert isinstance(await writer.one(admission()), Admitted)


async def test_a_team_frozen_before_its_first_call_has_none(database: Database) -> None:
    writer = Writer(database)
    await writer.one(operations.freeze("search", UTC, BY, frozen=True))

    assert isinstance(await writer.one(admission()), TeamFrozen)


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_day_that_others_have_a_part_of_is_adjusted_in_what_is_left_of_it(
    database: Database, clock: Clock, *, frozen: bool
) -> None:
    """The team has moved to Tokyo since, where a day begins nine hours earlier: two days overlap."""
    writer = Writer(database)
    day = today(clock)
    await set_to(clock, day.start_us + HOUR_US)
    await writer.one(admission())
    await set_to(clock, day.end_us + 40 * HOUR_US)
    await writer.one(operations.freeze("search", TOKYO, BY, frozen=frozen))
    next_in_tokyo = period_at(TOKYO, day.end_us)
    held: Held = await writer.one(operations.adjustment("search", TOKYO, 7, "one", BY, next_in_tokyo))

    assert next_in_tokyo.start_us < day.end_us
    assert held.standing.period == Period(day.end_us, next_in_tokyo.end_us)
    assert held.standing.committed_nanos == 7
    tables = await require_sound(database)
    assert {row["frozen"] for row in tables["budget_period"]} <= {0, int(frozen)}


async def test_an_adjustment_asked_for_again_is_shown_and_not_made(database: Database, clock: Clock) -> None:
    writer = Writer(database)
    day, before = today(clock), period_at(UTC, today(clock).start_us - HOUR_US)
    first = await writer.one(operations.adjustment("search", UTC, 7, "one", BY, before))
    tables = await require_sound(database)

    assert await writer.one(operations.adjustment("search", UTC, 7, "one", BY, before)) == first
    assert await writer.one(operations.adjustment("search", UTC, 7, "one", BY)) == first
    for budget_id, nanos, asked in (("search", 7, day), ("search", 8, before), ("ads", 7, before)):
        with pytest.raises(RequestIdReused):
            await writer.one(operations.adjustment(budget_id, UTC, nanos, "one", BY, asked))
    assert await require_sound(database) == tables


class Overtaken:
    """A transaction in the midst of which another replica makes the same adjustment."""

    def __init__(self, tx: Transaction, other: Writer) -> None:
        self._tx, self._other = tx, other
        self._is_first = True

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        rows = await self._tx.fetch(sql, *values)
        if self._is_first:
            self._is_first = False
            await self._other.one(operations.adjustment("search", UTC, 7, "one", BY))
        return rows

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        return await self._tx.fetch_each(sql, rows)

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        await self._tx.execute_each(sql, rows)


async def test_an_adjustment_asked_of_two_replicas_at_once_is_made_once(
    postgres_database: Database, open_replica: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, other = Writer(postgres_database), Writer(await open_replica())
    await writer.one(admission())
    monkeypatch.setattr(writer, "through", lambda tx: Overtaken(tx, other))

    held: Held = await writer.one(operations.adjustment("search", UTC, 7, "one", BY))

    assert held.standing.committed_nanos == 10 + 7
    await require_sound(postgres_database)

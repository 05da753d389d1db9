"""What columns hold and statements give back, on every engine."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.storage.database import Database, Transaction, Value
from service.storage.errors import ValueRefused
from tests.storage.statements import INSERT, INSERT_WORDS, ids, look, run

_INSERT_ALL = "INSERT INTO thing (id, words, bytes) VALUES ($1, $2, $3)"
_UPSERT = """INSERT INTO thing (id, count) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET count = thing.count + excluded.count RETURNING id, count"""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.none() | st.binary(),
)
async def test_every_value_comes_back_as_it_was(
    things: Database, number: int, words: str | None, data: bytes | None
) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch("DELETE FROM thing")
        await transaction.fetch(_INSERT_ALL, number, words, data)

    await things.transact(work)

    assert await look(things, "SELECT id, words, bytes FROM thing") == [(number, words, data)]


@pytest.mark.parametrize(
    "values",
    [(2**63, ""), (-(2**63) - 1, ""), (1, "N\0UL"), (1, "lone \ud800 surrogate")],
    ids=["too large", "too small", "NUL", "surrogate"],
)
async def test_a_value_that_no_column_holds_is_refused(things: Database, values: tuple[Value, ...]) -> None:
    async def each(transaction: Transaction) -> None:
        await transaction.execute_each(INSERT_WORDS, [(2, ""), values])

    with pytest.raises(ValueRefused):
        await run(things, INSERT_WORDS, *values)
    with pytest.raises(ValueRefused):
        await things.transact(each)

    assert await ids(things) == []


async def test_a_returning_gives_the_rows_that_changed(things: Database) -> None:
    await run(things, INSERT, 1)

    assert await run(things, "UPDATE thing SET count = count + $1 WHERE id = $2 RETURNING id, count", 5, 1) == [(1, 5)]
    assert await run(things, "UPDATE thing SET count = count + $1 WHERE id = $2 RETURNING id, count", 5, 2) == []


async def test_a_placeholder_may_stand_twice(things: Database) -> None:
    await run(things, INSERT_WORDS, 1, "one")

    assert await run(things, "SELECT id FROM thing WHERE words = $1 AND $2 > 0 AND words = $1", "one", 2) == [(1,)]


async def test_an_upsert_adds_to_what_is_there(things: Database) -> None:
    assert await run(things, _UPSERT, 1, 3) == [(1, 3)]
    assert await run(things, _UPSERT, 1, 4) == [(1, 7)]


async def test_a_conflict_that_is_to_be_ignored_is(things: Database) -> None:
    ignoring = "INSERT INTO thing (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id"

    assert await run(things, ignoring, 1) == [(1,)]
    assert await run(things, ignoring, 1) == []


@pytest.mark.parametrize("count", [0, 1, 2, 700])
async def test_a_statement_for_each_row_returns_all_rows_in_their_order(things: Database, count: int) -> None:
    rows = [(number * 7919 % 1000, number) for number in range(count)]

    async def work(transaction: Transaction) -> list[tuple[int, int]]:
        return await transaction.fetch_each(_UPSERT, rows)

    assert await things.transact(work) == rows


async def test_a_statement_for_each_row_returns_only_the_rows_that_changed(things: Database) -> None:
    await run(things, INSERT, 2)

    async def work(transaction: Transaction) -> list[tuple[int]]:
        return await transaction.fetch_each("UPDATE thing SET count = 1 WHERE id = $1 RETURNING id", [(1,), (2,), (3,)])

    assert await things.transact(work) == [(2,)]


@pytest.mark.parametrize("count", [0, 1, 2, 700])
async def test_a_statement_for_each_row_has_its_effect(things: Database, count: int) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute_each(INSERT, [(number,) for number in range(count)])

    await things.transact(work)

    assert await ids(things) == list(range(count))

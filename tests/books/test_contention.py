"""Replicas that want the same budgets at once, on a real server: nothing is spent twice, and nothing stays held."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from service.books import operations
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import UTC, Admitted, Settled, Work
from service.books.errors import BooksError, BooksUnavailable, BudgetShort
from service.books.forfeits import forfeit
from service.books.operations import Operator
from service.storage.postgres import PostgresDatabase
from tests.books.making import admission, note, settlement
from tests.books.oracle import require_sound
from tests.databases import Opener

REPLICAS, CALLS, HOLD, FIT = 4, 200, 10, 7
BY = Operator("ops", "why")


@pytest.fixture
async def replicas(postgres_database: PostgresDatabase, open_replica: Opener) -> AsyncIterator[list[Committer]]:
    databases = [postgres_database, *[await open_replica() for _ in range(REPLICAS - 1)]]
    made = [Committer(each, DatabaseClock(await each.now_us()), lambda _: None) for each in databases]
    yield made
    for committer in made:
        assert await committer.close(10.0) == 0


async def test_of_many_calls_that_come_first_of_all_exactly_those_that_fit_are_served(
    postgres_database: PostgresDatabase, replicas: list[Committer]
) -> None:
    limit_nanos = FIT * HOLD + HOLD - 1
    asked = [replicas[number % REPLICAS].submit(admission("new", HOLD, limit_nanos)) for number in range(CALLS)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    tables = await require_sound(postgres_database)

    assert sum(isinstance(result, Admitted) for result in results) == FIT
    refusals = (result for result in results if not isinstance(result, Admitted))
    assert all(isinstance(result, BudgetShort | BooksUnavailable) for result in refusals)
    assert [row["committed_nanos"] for row in tables["budget_period"] if row["budget_id"] == "new"] == [FIT * HOLD]


async def test_a_storm_of_calls_freezes_adjustments_and_forfeits_leaves_sound_books(
    postgres_database: PostgresDatabase, replicas: list[Committer]
) -> None:
    chance = random.Random(7)
    spent = dict.fromkeys(("ads", "search"), 0)

    async def call(committer: Committer, team: str) -> None:
        entry = admission(team, HOLD, 300)
        try:
            admitted = await committer.submit(entry)
        except BooksError:
            await asyncio.gather(committer.submit(note(team, "BUDGET_SPENT")), return_exceptions=True)
            return
        await asyncio.sleep(chance.random() / 100)
        charge_nanos = chance.randrange(4)
        settled = await committer.submit(settlement(entry, admitted, charge_nanos))
        assert isinstance(settled, Settled)
        spent[team] += charge_nanos

    async def operate(committer: Committer, number: int) -> None:
        team = chance.choice(("ads", "search"))
        await asyncio.sleep(chance.random() / 5)
        for work in (
            operations.freeze(team, UTC, BY, frozen=True),
            forfeit(team, 0),
            operations.adjustment(team, UTC, 5, f"adjust {number}", BY),
            operations.freeze(team, UTC, BY, frozen=False),
        ):
            await _insist(committer, work)

    async def calls(committer: Committer) -> None:
        for _ in range(20):
            await asyncio.gather(*(call(committer, chance.choice(("ads", "search"))) for _ in range(5)))

    await asyncio.gather(
        *map(calls, replicas), *(operate(replicas[number % REPLICAS], number // 2) for number in range(10))
    )
    tables = await require_sound(postgres_database)

    adjusted = {team: sum(row["amount_nanos"] for row in tables["budget_adjust"] if row["budget_id"] == team)
                for team in spent}  # fmt: skip
    assert {
        row["budget_id"]: row["committed_nanos"] for row in tables["budget_period"] if row["budget_id"] in spent
    } == {team: spent[team] + adjusted[team] for team in spent}
    assert len(tables["budget_adjust"]) == 5
    assert {row["state"] for row in tables["call_hold"]} == {"settled"}


async def _insist(committer: Committer, work: Work) -> None:
    """An operator asks again when the budget is busy, and is told if the id stands for another adjustment."""
    for _ in range(50):
        try:
            await committer.submit(work)
        except BooksUnavailable:
            await asyncio.sleep(0.01)
        except BooksError:
            return
        else:
            return
    raise AssertionError("the budget stays locked")

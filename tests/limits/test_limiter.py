"""What one process does with its permits: ahead of need, once for all who wait, and back where they were not needed."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from service.books.errors import BooksUnavailable
from service.config import TeamConfig
from service.limits.limit import Limit, TeamLimits
from service.limits.limits import Limits
from service.limits.permits import Permit
from service.limits.tiers import limits_of
from service.limits.windows import MINUTE_US, window_at
from tests.books.scripted import Scene, in_simulated_time
from tests.limits.replicas import CALLER, TEAM, Replica, replica_on, team_limits, wait_s


async def replica_with(limits: TeamLimits, scene: Scene | None = None) -> Replica:
    database = (scene or await Scene.new()).database
    return await replica_on(database, limits, database._now_us)


def count_waits(replica: Replica) -> list[int]:
    """Grows with each call that waits for the database."""
    refills, waits = replica.limiter._refills, []
    more = refills.more

    async def counted(*how: Any) -> None:
        waits.append(1)
        await more(*how)

    refills.more = counted  # type: ignore[method-assign,assignment]
    return waits


async def use_up(replica: Replica) -> None:
    while await replica.asks() is None:
        pass


@in_simulated_time
async def test_calls_do_not_wait_for_the_database_after_the_first_of_a_window() -> None:
    replica = await replica_with(team_limits(minute=600, day=50_000))
    assert await replica.asks() is None
    waits = count_waits(replica)
    for _ in range(550):
        await asyncio.sleep(0.01)
        assert await replica.asks() is None

    print(f"550 calls: {len(waits)} waited for the database, which was asked {replica.books.trips} times ahead of need")

    assert not waits
    assert replica.books.trips < 100


@in_simulated_time
async def test_a_spent_window_refuses_without_asking_again() -> None:
    replica = await replica_with(team_limits(minute=6))
    await use_up(replica)
    for _ in range(6 * 31):
        assert await replica.asks() is not None
    trips = replica.books.trips
    for _ in range(100):
        assert await replica.asks() is not None

    assert replica.books.trips == trips


@in_simulated_time
async def test_who_comes_at_once_shares_a_trip() -> None:
    replica = await replica_with(team_limits(minute=600))
    answers = await asyncio.gather(*(replica.asks() for _ in range(500)))

    assert answers == [None] * 500
    assert replica.books.trips <= 2


@pytest.mark.parametrize(
    ("limits", "inputs"), [(team_limits(minute=60, day=300), 0), (team_limits(inputs=5_760, day=300), 96)]
)
def test_of_a_day_no_more_is_taken_ahead_than_a_chunk_when_the_minute_is_what_refuses(
    limits: TeamLimits, inputs: int
) -> None:
    @in_simulated_time
    async def story() -> None:
        scene = await Scene.new()
        replicas = [await replica_with(limits, scene) for _ in range(3)]
        answers = await asyncio.gather(*(replica.asks(inputs) for replica in replicas * 100))
        held = [stock.held for replica in replicas for stock in replica.limiter.stocks_of(TEAM).stocks]
        print(f"{answers.count(None)} of 300 admitted, 3 replicas hold {held}")

        assert answers.count(None) >= 57
        assert (
            max(
                stock.held
                for replica in replicas
                for stock in replica.limiter.stocks_of(TEAM).stocks
                if stock.limit.zone is not None
            )
            <= 300 // 16
        )

    story()


@in_simulated_time
async def test_a_call_takes_of_all_windows_or_of_none() -> None:
    replica = await replica_with(team_limits(minute=100, inputs=10))
    assert await replica.asks(inputs=8) is None
    refused = await replica.asks(inputs=8)
    minute, _ = replica.limiter.stocks_of(TEAM).stocks
    used = 100 - minute.remaining

    assert refused is not None
    assert refused.metadata["limit_name"] == "embed_inputs_per_minute"
    assert used == 1
    assert await replica.asks(inputs=2) is None
    assert await replica.asks() is None


@in_simulated_time
async def test_what_counts_for_more_than_a_window_allows_is_told_so() -> None:
    replica = await replica_with(team_limits(minute=100, inputs=50))
    refused = await replica.asks(inputs=96)

    assert refused is not None
    assert refused.metadata == {"limit_name": "embed_inputs_per_minute", "limit": "50", "asked": "96"}
    assert await replica.asks(inputs=50) is None


@in_simulated_time
async def test_permits_come_back_once_and_to_their_own_window() -> None:
    replica = await replica_with(team_limits(minute=1))
    permit: Permit = await replica.limiter.admit(TEAM)
    assert await replica.asks() is not None
    permit.give_back()
    permit.give_back()
    again = await replica.limiter.admit(TEAM)
    assert await replica.asks() is not None
    await asyncio.sleep(60.0)
    assert await replica.asks() is None
    again.give_back()

    assert await replica.asks() is not None


@in_simulated_time
async def test_another_limit_holds_from_the_next_call_on() -> None:
    replica = await replica_with(team_limits(minute=10))
    for _ in range(5):
        assert await replica.asks() is None
    replica.limits = team_limits(minute=5)
    lowered = await replica.asks()
    replica.limits = team_limits(minute=7)

    assert lowered is not None
    assert lowered.metadata["limit"] == "5"
    assert [await replica.asks() is None for _ in range(3)] == [True, True, False]


@in_simulated_time
async def test_a_limit_that_is_raised_within_its_window_can_be_used_up() -> None:
    scene = await Scene.new()
    replicas = [await replica_with(team_limits(minute=1_000, day=1_000), scene) for _ in range(3)]
    permits = [await replica.limiter.admit(TEAM) for replica in replicas]
    for replica in replicas:
        replica.limits = team_limits(minute=1_100, day=1_050)
    answers = [await replica.asks() for _ in range(500) for replica in replicas]
    permits[0].give_back()
    last = [await replica.asks() is None for replica in replicas]

    assert answers.count(None) == 1_050 - len(permits)
    assert last == [True, False, False]


@in_simulated_time
async def test_a_reload_that_changes_nothing_keeps_what_is_held() -> None:
    replica = await replica_with(team_limits(minute=160))
    assert await replica.asks() is None
    trips = replica.books.trips
    replica.limits = team_limits(minute=160)
    assert await replica.asks() is None

    assert replica.books.trips == trips


@in_simulated_time
async def test_without_the_database_what_is_held_is_used_and_then_the_books_are_unavailable() -> None:
    scene = await Scene.new()
    replica = await replica_with(team_limits(minute=160), scene)
    assert await replica.asks() is None
    scene.database.is_down = True
    held = replica.limiter.stocks_of(TEAM).stocks[0].held
    assert [await replica.asks() for _ in range(held)] == [None] * held
    with pytest.raises(BooksUnavailable):
        await replica.asks()
    scene.database.is_down = False

    assert await replica.asks() is None


@in_simulated_time
async def test_who_leaves_while_it_waits_takes_nothing_and_keeps_nobody_waiting() -> None:
    replica = await replica_with(team_limits(minute=2))
    leaving, staying = asyncio.create_task(replica.asks()), asyncio.create_task(replica.asks())
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying is None
    assert await replica.asks() is None
    assert await replica.asks() is not None


@in_simulated_time
async def test_a_limiter_that_is_closed_lets_nobody_wait_for_ever() -> None:
    scene = await Scene.new()
    replica = await replica_with(team_limits(minute=2), scene)
    scene.database.gate.clear()
    waiting = asyncio.create_task(replica.asks())
    await asyncio.sleep(0.1)
    await replica.limiter.close()

    with pytest.raises(BooksUnavailable):
        await waiting
    scene.database.gate.set()


@in_simulated_time
async def test_the_wait_is_up_to_the_next_window_and_never_short_of_it() -> None:
    replica = await replica_with(team_limits(minute=2))
    await use_up(replica)
    await asyncio.sleep(12.3456)
    refused = await replica.asks()
    assert refused is not None
    now_us = replica.now_us()
    early_us = window_at(None, now_us).end_us - now_us

    assert early_us / 1e6 <= wait_s(refused) <= early_us / 1e6 + 0.052


@in_simulated_time
async def test_what_is_told_is_never_more_than_there_is() -> None:
    scene = await Scene.new()
    limits = team_limits(minute=160, day=1000)
    one, other = [
        Limits((await replica_with(limits, scene)).books, scene.database._now_us, lambda _: limits, lambda: None)
        for _ in range(2)
    ]
    for _ in range(3):
        await one._limiter.admit(TEAM)
    await other._limiter.admit(TEAM)
    asked = one.ask([TEAM])
    taken = await one._limiter._refills.books.read(asked.read)
    told = {standing.name: standing.remaining for standing in one.standings(TEAM, asked, taken)}

    chunk = 160 // 16
    assert told["requests_per_minute"] == 160 - 3 - (160 - chunk) // 16
    assert told["requests_per_day"] <= 1000 - 4
    tightest = one.tightest(CALLER)
    assert tightest is not None
    assert (tightest.name, tightest.most, tightest.remaining) == ("requests_per_minute", 160, 157)
    assert tightest.resets_at_us % MINUTE_US == 0


def names(limits: Sequence[Limit]) -> dict[str, int]:
    return {limit.name: limit.most for limit in limits}


@pytest.mark.parametrize(
    ("tier", "own", "expected"),
    [
        ("free", {}, {"requests_per_minute": 60, "requests_per_day": 1_000}),
        ("pro", {}, {"requests_per_minute": 600, "requests_per_day": 50_000}),
        ("pro", {"requests_per_day": 10}, {"requests_per_minute": 600, "requests_per_day": 10}),
        ("enterprise", {"embed_inputs_per_minute": 7}, {"embed_inputs_per_minute": 7}),
        ("enterprise", {}, {}),
        ("enterprise", {"requests_per_minute": 9_999}, {"requests_per_minute": 9_999}),
    ],
)  # fmt: skip
def test_a_tier_gives_its_limits_and_the_config_narrows_them(
    tier: str, own: dict[str, int], expected: dict[str, int]
) -> None:
    team = TeamConfig.model_validate({
        "cohere_key": "env:KEY", "models": ["m"], "max_tokens_per_call": 1, "daily_budget_usd": Decimal(1),
        "tier": tier, "limits": own,
    })  # fmt: skip

    assert names(limits_of("search", team).rates) == expected

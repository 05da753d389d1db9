"""However many processes hand out a window's permits, on a real database: never more than there are, and nearly all."""

import asyncio
from collections import Counter

import pytest

from service.errors import Refused
from service.limits.counters import forget
from service.limits.decision import Stock
from service.limits.permits import Permit
from service.limits.windows import MINUTE_US, window_at
from service.storage.database import Database, Transaction
from tests.databases import Clock, Opener
from tests.limits.replicas import TEAM, Replica, replica_on, team_limits

MINUTE, DAY = 200, 900
CALLERS = 8
"""Of each replica, who call until they are refused."""
START_US = 1_795_000_000_000_000 - 1_795_000_000_000_000 % 86_400_000_000


class Stepped:
    """A clock for all replicas."""

    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        return self.us


async def calls_until_refused(replica: Replica, admitted: Counter[int]) -> None:
    while True:
        try:
            permit = await replica.limiter.admit(TEAM)
        except Refused:
            return
        admitted[start_us_of(permit)] += 1
        await asyncio.sleep(0)


def start_us_of(permit: Permit) -> int:
    return min(window.start_us for stock, window, _ in permit._taken if stock.limit.zone is None)


async def fill_windows(replicas: list[Replica], clock: Stepped, windows: int) -> Counter[int]:
    """What is admitted in each of some minutes, of which every second ends in the middle of it all."""
    admitted: Counter[int] = Counter()
    for number in range(windows):
        callers = [
            asyncio.create_task(calls_until_refused(replica, admitted)) for replica in replicas for _ in range(CALLERS)
        ]
        if number % 2:
            while admitted[clock.us] < MINUTE // 2 and not all(caller.done() for caller in callers):
                await asyncio.sleep(0)
            clock.us += MINUTE_US
        await asyncio.gather(*callers)
        clock.us += MINUTE_US
    return admitted


@pytest.fixture
def open_further(request: pytest.FixtureRequest, database: Database) -> Opener | None:
    """Opens the database for another replica; None on SQLite, which has one process."""
    return request.getfixturevalue("open_replica") if database.engine == "postgres" else None


async def test_no_window_admits_more_than_it_allows_and_nearly_all_of_it_can_be_used(
    database: Database, open_further: Opener | None
) -> None:
    clock, limits = Stepped(), team_limits(minute=MINUTE, day=DAY)
    databases = [database, *([await open_further(), await open_further()] if open_further else [])]
    replicas = [await replica_on(each, limits, clock.now_us) for each in databases]
    admitted = await fill_windows(replicas, clock, 4)
    whole = [admitted[START_US], admitted[START_US + 3 * MINUTE_US]]
    print(
        f"{len(replicas)} on {database.engine}: {list(admitted.values())} of {MINUTE} each, {admitted.total()} of {DAY}"
    )

    assert max(admitted.values()) <= MINUTE
    assert min(whole) >= 0.98 * MINUTE
    assert 0.98 * DAY <= admitted.total() <= DAY


@pytest.mark.parametrize("used", [1, 6, 7, 20])
async def test_a_replica_that_dies_takes_at_most_a_chunk_with_it(
    postgres_database: Database, open_replica: Opener, used: int
) -> None:
    clock, limits = Stepped(), team_limits(minute=MINUTE)
    dying = await replica_on(postgres_database, limits, clock.now_us)
    other = await replica_on(await open_replica(), limits, clock.now_us)
    admitted: Counter[int] = Counter()
    for _ in range(used):
        assert await dying.asks() is None
        while dying.limiter._refills._running is not None:  # it takes its chunks in the background
            await asyncio.sleep(0)
    await calls_until_refused(other, admitted)
    print(f"dead after {used}: {MINUTE - used - admitted[START_US]} of {MINUTE} lost, a chunk is {MINUTE // 16}")

    assert MINUTE - used - MINUTE // 16 <= admitted[START_US] < MINUTE
    assert await other.asks() is not None


async def test_windows_that_have_been_over_for_a_day_are_forgotten(database: Database, clock: Clock) -> None:
    replica = await replica_on(database, team_limits(minute=10, day=10))
    assert await replica.asks() is None
    await clock.shift(26 * 3600 * 1_000_000)
    late = await replica_on(database, team_limits(minute=10))
    assert await late.asks() is None
    await late.books.run(forget())
    left = await late.books.read(scopes)

    assert ("team:search/requests_per_minute", window_at(None, late.now_us()).start_us) in left
    assert len([scope for scope, _ in left if scope.endswith("minute")]) == 1


async def scopes(tx: Transaction) -> list[tuple[str, int]]:
    return [(scope, start_us) for scope, start_us in await tx.fetch("SELECT scope, start_us FROM permit_window")]


async def test_two_chunks_at_once_of_one_window_share_what_there_is(
    postgres_database: Database, open_replica: Opener
) -> None:
    clock, limits = Stepped(), team_limits(minute=16)
    replicas = [await replica_on(each, limits, clock.now_us) for each in (postgres_database, await open_replica())]
    calls = [replica.asks() for replica in replicas for _ in range(20)]
    refused = [answer for answer in await asyncio.gather(*calls) if answer is not None]
    held = [stock.held for replica in replicas for stock in stocks_of(replica)]

    assert len(refused) == 40 - 16
    assert held == [0, 0]


def stocks_of(replica: Replica) -> list[Stock]:
    return replica.limiter.stocks_of(TEAM).stocks

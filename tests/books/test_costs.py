"""What an accepted call costs: two group commits, and in each the statements that are here, not one more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import Admission, Admitted
from service.storage.database import Database
from service.storage.postgres import PostgresDatabase
from tests.books.counting import CountingDatabase, RoundTrips
from tests.books.making import admission, settlement
from tests.books.scripted import in_simulated_time
from tests.endings.service import Service

ADMIT = ["UPDATE budget_period", "INSERT call_hold", "INSERT audit", "UPDATE audit_writer"]
SETTLE = [
    "UPDATE call_hold",
    "UPDATE budget_period",
    "INSERT usage_quarter",
    "INSERT usage_day",
    "INSERT audit",
    "UPDATE audit_writer",
]
TOGETHER, LIMIT_NANOS = 20, 10**9


async def books_in(database: Database) -> Books:
    """Books that know the day in force and every statement, and have begun their chain, as after the first calls."""
    books = Books(database, Committer(database, DatabaseClock(await database.now_us()), lambda _: None))
    for _ in range(2):
        entry = asked()
        await books.settle(settlement(entry, await books.admit(entry), 1))
    return books


def asked() -> Admission:
    return admission(limit_nanos=LIMIT_NANOS)


@pytest.fixture
async def counting(database: Database) -> CountingDatabase:
    return CountingDatabase(database)


@pytest.fixture
async def books(counting: CountingDatabase) -> Books:
    """Each engine in turn; what made them ready is not counted."""
    made = await books_in(counting)
    counting.transactions.clear()
    counting.reads = 0
    return made


@pytest.fixture
async def round_trips(postgres_url: str, tmp_path: Path) -> AsyncIterator[RoundTrips]:
    server = Path(parse_qs(urlsplit(postgres_url).query)["host"][0])
    async with RoundTrips(tmp_path, server).counted() as counted:
        yield counted


@pytest.fixture
async def books_on_the_wire(round_trips: RoundTrips, postgres_url: str, tmp_path: Path) -> AsyncIterator[Books]:
    database = PostgresDatabase(f"postgresql://postgres@{urlsplit(postgres_url).path}?host={tmp_path}")
    await database.open()
    yield await books_in(database)
    await database.close()


async def test_a_call_alone_costs_two_transactions_of_four_and_six_statements(
    books: Books, counting: CountingDatabase
) -> None:
    entry = asked()
    admitted = await books.admit(entry)
    assert counting.transactions == [ADMIT]

    await books.settle(settlement(entry, admitted, 3))
    assert counting.transactions == [ADMIT, SETTLE]
    assert counting.reads == 0


async def test_calls_that_come_together_cost_no_more_statements_than_one(
    books: Books, counting: CountingDatabase
) -> None:
    entries = [asked() for _ in range(TOGETHER)]
    admitted = await asyncio.gather(*map(books.admit, entries))
    ends = [settlement(entry, each, 3) for entry, each in zip(entries, admitted, strict=True)]
    await asyncio.gather(*map(books.settle, ends))

    assert counting.transactions == [ADMIT, SETTLE]
    assert counting.reads == 0


@pytest.mark.parametrize("together", [1, TOGETHER])
async def test_a_group_commit_is_one_round_trip_however_many_calls_share_it(
    books_on_the_wire: Books, round_trips: RoundTrips, together: int
) -> None:
    entries = [asked() for _ in range(together)]
    round_trips.count = 0
    admitted: list[Admitted] = await asyncio.gather(*map(books_on_the_wire.admit, entries))
    assert round_trips.count == 1

    ends = [settlement(entry, each, 3) for entry, each in zip(entries, admitted, strict=True)]
    round_trips.count = 0
    await asyncio.gather(*map(books_on_the_wire.settle, ends))
    assert round_trips.count == 1


@pytest.mark.parametrize("streams", [False, True], ids=["Chat", "ChatStream"])
@in_simulated_time
async def test_the_whole_way_of_an_accepted_call_commits_twice(*, streams: bool) -> None:
    service = await Service.new()
    made = service.begin(streams=streams)
    await service.ended()

    assert made.got is not None
    assert made.got.code == "OK"
    own_records = [[call_id for call_id in commit if call_id] for commit in service.database.commits]
    assert own_records == [[made.call.call_id], [made.call.call_id]]

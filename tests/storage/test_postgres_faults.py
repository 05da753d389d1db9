"""PostgreSQL that crashes, hangs or is cut off: nothing acknowledged is lost, errors tell the truth, and it heals."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from service.storage import postgres_readers
from service.storage.database import Database, Script, Step, Transaction
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.postgres import PostgresDatabase
from tests.postgres_server import PostgresServer, postgres_server
from tests.storage.statements import CREATE_THING, INSERT, INSERT_WORDS, ids, run
from tests.storage.traffic import Traffic
from tests.storage.wire import Cut, Wire

WRITE_TIMEOUT_S = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that syncs, for this module to hurt."""
    with postgres_server(durable=True) as running:
        yield running


@pytest.fixture
async def url(server: PostgresServer) -> AsyncIterator[str]:
    admin = await asyncpg.connect(server.url("postgres"))
    await admin.execute("CREATE DATABASE hurt")
    await admin.close()
    yield server.url("hurt")
    admin = await asyncpg.connect(server.url("postgres"))
    await admin.execute("DROP DATABASE hurt WITH (FORCE)")
    await admin.close()


async def opened(url: str) -> PostgresDatabase:
    database = PostgresDatabase(url, write_timeout_s=WRITE_TIMEOUT_S)
    await database.open()
    return database


@pytest.fixture
async def things(url: str) -> AsyncIterator[PostgresDatabase]:
    database = await opened(url)
    await run(database, CREATE_THING)
    yield database
    await database.close()


async def crash(server: PostgresServer, times: int, chance: random.Random, database: Database) -> Traffic:
    """Crashes the server again and again under traffic, at any moment of a transaction."""
    traffic = Traffic(database)
    for _ in range(times):
        await traffic.some()
        stopping = asyncio.create_task(_later(chance.random() * 0.02, server.stop, "immediate"))
        await traffic.until(stopping.done)
        await stopping
        restarting = asyncio.create_task(asyncio.to_thread(server.start))
        await traffic.until(restarting.done)
        await restarting
    await traffic.some()
    await traffic.agrees()
    return traffic


async def _later(delay_s: float, do: Callable[..., None], *arguments: object) -> None:
    await asyncio.sleep(delay_s)
    await asyncio.to_thread(do, *arguments)


async def test_a_server_that_crashes_loses_nothing_acknowledged(server: PostgresServer, things: Database) -> None:
    traffic = await crash(server, 2, random.Random(1), things)

    assert traffic.refused


@pytest.mark.prove
async def test_a_server_that_crashes_forty_times_loses_nothing_acknowledged(
    server: PostgresServer, things: Database
) -> None:
    traffic = await crash(server, 40, random.Random(2), things)

    assert traffic.refused


async def test_a_server_that_hangs_is_cut_off_and_used_again_when_it_answers(
    server: PostgresServer, things: Database
) -> None:
    traffic = Traffic(things)
    await traffic.some()
    with server.paused():
        began_s = time.monotonic()
        await traffic.one()
        took_s = time.monotonic() - began_s
    assert len(traffic.refused) + len(traffic.uncertain) == 2
    assert took_s < WRITE_TIMEOUT_S + 2

    await traffic.some()
    await traffic.agrees()


async def test_a_server_that_is_slow_makes_nothing_untrue(server: PostgresServer, things: Database) -> None:
    traffic = Traffic(things)
    for _ in range(10):
        going_on = asyncio.create_task(traffic.some())
        with server.paused():
            await asyncio.sleep(0.02)
        await going_on

    await traffic.agrees()
    assert not traffic.refused
    assert not traffic.uncertain


async def _pid(transaction: Transaction) -> int:
    ((pid,),) = await transaction.fetch("SELECT pg_backend_pid()")
    return int(pid)


async def _terminate(url: str, pid: int) -> None:
    admin = await asyncpg.connect(url)
    await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    await admin.close()


async def test_a_connection_that_ended_between_transactions_is_opened_anew(url: str, things: Database) -> None:
    await _terminate(url, await things.transact(_pid))
    await _terminate(url, await things.read(_pid))

    traffic = Traffic(things)
    await traffic.some()
    await traffic.agrees()


@pytest.mark.parametrize("statements_after", [1, 0], ids=["before a statement", "before COMMIT"])
async def test_a_connection_that_ends_inside_a_transaction_leaves_nothing(
    url: str, things: Database, statements_after: int
) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        await _terminate(url, await _pid(transaction))
        for _ in range(statements_after):
            await transaction.fetch(INSERT, 2)

    with pytest.raises(DatabaseUnavailable):
        await things.transact(work)

    await run(things, INSERT, 3)
    assert await ids(things) == [3]


async def test_a_reader_whose_connection_ends_is_unavailable_and_the_next_one_is_well(
    url: str, things: Database
) -> None:
    async def work(transaction: Transaction) -> None:
        await _terminate(url, await _pid(transaction))
        await transaction.fetch("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await things.read(work)

    assert await ids(things) == []


async def test_a_process_of_the_server_that_is_killed_loses_nothing_acknowledged(
    server: PostgresServer, things: Database
) -> None:
    """PostgreSQL then restarts all of its processes, and recovers from its log."""
    traffic = Traffic(things)
    await traffic.some()
    os.kill(await things.transact(_pid), signal.SIGKILL)

    await traffic.some()
    await traffic.agrees()


@pytest.mark.parametrize(
    ("cut", "there"),
    [(Cut.BEFORE_COMMIT, []), (Cut.AFTER_COMMIT, [1]), (Cut.SILENT_AFTER_COMMIT, [1])],
    ids=lambda value: value.name if isinstance(value, Cut) else "",
)
async def test_a_commit_without_an_answer_is_uncertain(
    url: str, things: Database, tmp_path: Path, cut: Cut, there: list[int]
) -> None:
    async with Wire(tmp_path, Path(parse_qs(urlsplit(url).query)["host"][0])).laid() as wire:
        database = await opened(f"postgresql://postgres@/hurt?host={tmp_path}")
        wire.cut = cut

        with pytest.raises(CommitUncertain):
            await run(database, INSERT, 1)

        assert await ids(database) == there
        await run(database, INSERT, 2)
        await database.close()
    assert await ids(things) == [*there, 2]


@pytest.mark.parametrize(
    ("cut", "there"),
    [(Cut.BEFORE_COMMIT, []), (Cut.AFTER_COMMIT, [1]), (Cut.SILENT_AFTER_COMMIT, [1])],
    ids=lambda value: value.name if isinstance(value, Cut) else "",
)
async def test_a_script_without_an_answer_is_uncertain(
    url: str, things: Database, tmp_path: Path, cut: Cut, there: list[int]
) -> None:
    async with Wire(tmp_path, Path(parse_qs(urlsplit(url).query)["host"][0])).laid() as wire:
        database = await opened(f"postgresql://postgres@/hurt?host={tmp_path}")
        await database.run(Script([Step(INSERT_WORDS, [(0, "")])], list))
        wire.cut = cut

        with pytest.raises(CommitUncertain):
            await database.run(Script([Step(INSERT_WORDS, [(1, "the wire looks for COMMIT")])], list))

        assert await ids(database) == [0, *there]
        await database.close()


async def test_a_server_that_is_away_is_asked_once_by_each_transaction(
    server: PostgresServer, things: Database
) -> None:
    server.stop()
    try:
        ends = await asyncio.gather(*(run(things, INSERT, number) for number in range(20)), return_exceptions=True)
        with pytest.raises(DatabaseUnavailable):
            await ids(things)
        with pytest.raises(DatabaseUnavailable):
            await things.now_us()
    finally:
        server.start()

    assert {type(end) for end in ends} == {DatabaseUnavailable}
    await run(things, INSERT, 99)
    assert await ids(things) == [99]


async def test_closing_does_not_wait_long_for_a_server_that_hangs(
    server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_readers, "CLOSE_TIMEOUT_S", 0.2)
    database = await opened(url)
    assert await database.read(_pid)
    with server.paused():
        writing, reading = asyncio.create_task(database.transact(_pid)), asyncio.create_task(database.read(_pid))
        await asyncio.sleep(0)  # each has asked
        began_s = time.monotonic()
        await database.close()
        took_s = time.monotonic() - began_s

    assert took_s < 4
    for task in (writing, reading):
        with pytest.raises((DatabaseUnavailable, CommitUncertain)):
            await task

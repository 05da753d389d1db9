"""What reads and glances promise, on every engine: a snapshot, beside the writer and not behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from service.storage.database import Database, Transaction, Work
from service.storage.errors import DatabaseUnavailable, StorageError
from tests.busy_readers import busy_readers
from tests.storage.statements import IDS, INSERT, ids, run

Reading: TypeAlias = Callable[[Database, Work[Any]], Awaitable[Any]]


@pytest.fixture(params=["read", "glance"])
def reading(request: pytest.FixtureRequest) -> Reading:
    """Each way of reading in turn."""
    return lambda database, work: getattr(database, request.param)(work)


async def seen(transaction: Transaction) -> list[int]:
    """Which things are there."""
    return [row[0] for row in await transaction.fetch(IDS)]


async def test_what_is_not_committed_is_not_read(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        raise LookupError

    with pytest.raises(LookupError):
        await things.transact(work)

    assert await ids(things) == []


async def test_a_read_sees_what_was_acknowledged_before_it(things: Database, reading: Reading) -> None:
    for number in range(50):
        await run(things, INSERT, number)

        assert len(await reading(things, seen)) == number + 1


async def test_a_read_cannot_write_and_the_next_one_is_none_the_worse(things: Database, reading: Reading) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)

    with pytest.raises(StorageError):
        await reading(things, work)

    assert await reading(things, seen) == []


async def test_an_exception_out_of_a_read_is_passed_on(things: Database, reading: Reading) -> None:
    async def work(transaction: Transaction) -> None:
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await reading(things, work)


async def test_a_read_is_one_snapshot_while_the_writer_goes_on(
    things: Database, open_another: Callable[[], Awaitable[Database]], reading: Reading
) -> None:
    reader = await open_another()
    loop = asyncio.get_running_loop()

    async def count_twice(transaction: Transaction) -> tuple[int, int]:
        before = len(await transaction.fetch(IDS))
        written = asyncio.run_coroutine_threadsafe(run(things, INSERT, 1), loop)
        if things.engine == "sqlite":  # in the reader's thread, which may wait
            written.result(timeout=10)
        else:
            await asyncio.wrap_future(written)
        return before, len(await transaction.fetch(IDS))

    assert await reading(reader, count_twice) == (0, 0)
    assert await reading(reader, seen) == [1]


async def test_reads_do_not_wait_for_the_writer(things: Database, reading: Reading) -> None:
    loop = asyncio.get_running_loop()

    async def read_inside(transaction: Transaction) -> list[int]:
        await transaction.fetch(INSERT, 1)
        found = asyncio.run_coroutine_threadsafe(_seen_by(reading, things), loop)
        if things.engine == "sqlite":
            return found.result(timeout=10)
        return await asyncio.wrap_future(found)

    assert await things.transact(read_inside) == []
    assert await ids(things) == [1]


async def test_many_reads_at_once_all_end(things: Database, reading: Reading) -> None:
    await run(things, INSERT, 1)

    assert await asyncio.gather(*(_seen_by(reading, things) for _ in range(20))) == [[1]] * 20


async def test_a_glance_does_not_wait_for_reads_however_many_there_are(things: Database) -> None:
    await run(things, INSERT, 1)
    async with busy_readers(things):
        waiting = asyncio.create_task(ids(things))
        async with asyncio.timeout(10):
            glanced = [await things.glance(seen) for _ in range(10)]

        assert glanced == [[1]] * 10
        assert not waiting.done()
    assert await waiting == [1]


async def test_who_leaves_a_glance_does_not_stop_the_next_one(things: Database) -> None:
    for moments in range(8):
        glancing = asyncio.create_task(_glanced(things))
        for _ in range(moments):
            await asyncio.sleep(0)
        glancing.cancel()
        await asyncio.gather(glancing, return_exceptions=True)

    assert await things.glance(seen) == []


async def test_a_glance_at_a_closed_database_is_refused(things: Database) -> None:
    await things.glance(seen)
    await things.close()

    with pytest.raises(DatabaseUnavailable):
        await things.glance(seen)


async def test_another_handle_reads_what_was_committed(
    things: Database, open_another: Callable[[], Awaitable[Database]]
) -> None:
    await run(things, INSERT, 1)

    assert await ids(await open_another()) == [1]


async def _seen_by(reading: Reading, database: Database) -> list[int]:
    found: list[int] = await reading(database, seen)
    return found


async def _glanced(database: Database) -> list[int]:
    return await database.glance(seen)

"""What a read promises, on every engine: a snapshot, beside the writer and not behind it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.storage.database import Database, Transaction
from service.storage.errors import StorageError
from tests.storage.statements import IDS, INSERT, ids, run


async def test_what_is_not_committed_is_not_read(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        raise LookupError

    with pytest.raises(LookupError):
        await things.transact(work)

    assert await ids(things) == []


async def test_a_read_sees_what_was_acknowledged_before_it(things: Database) -> None:
    for number in range(50):
        await run(things, INSERT, number)

        assert len(await ids(things)) == number + 1


async def test_a_read_cannot_write_and_the_next_one_is_none_the_worse(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)

    with pytest.raises(StorageError):
        await things.read(work)

    assert await ids(things) == []


async def test_an_exception_out_of_a_read_is_passed_on(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await things.read(work)


async def test_a_read_is_one_snapshot_while_the_writer_goes_on(
    things: Database, open_another: Callable[[], Awaitable[Database]]
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

    assert await reader.read(count_twice) == (0, 0)
    assert await ids(reader) == [1]


async def test_reads_do_not_wait_for_the_writer(things: Database) -> None:
    loop = asyncio.get_running_loop()

    async def read_inside(transaction: Transaction) -> list[int]:
        await transaction.fetch(INSERT, 1)
        reading = asyncio.run_coroutine_threadsafe(ids(things), loop)
        if things.engine == "sqlite":
            return reading.result(timeout=10)
        return await asyncio.wrap_future(reading)

    assert await things.transact(read_inside) == []
    assert await ids(things) == [1]


async def test_many_reads_at_once_all_end(things: Database) -> None:
    await run(things, INSERT, 1)

    assert await asyncio.gather(*(ids(things) for _ in range(20))) == [[1]] * 20


async def test_another_handle_reads_what_was_committed(
    things: Database, open_another: Callable[[], Awaitable[Database]]
) -> None:
    await run(things, INSERT, 1)

    assert await ids(await open_another()) == [1]

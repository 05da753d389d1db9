"""A script's COMMIT on SQLite does not wait for the disk, but who asked for it does, and so does who reads it."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import apsw
import pytest

from service.storage import sqlite_connection
from service.storage.database import Transaction, Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.sqlite import SqliteDatabase
from tests.storage.file_syncs import HeldSync
from tests.storage.statements import CREATE_THING, IDS, INSERT, ids, insert, run

T = TypeVar("T")
Way: TypeAlias = Callable[[SqliteDatabase, Work[list[int]]], Coroutine[Any, Any, list[int]]]


def refuse_to_write(path: Path, vfs: str | None) -> None:
    raise apsw.IOError(f"{path} {vfs}")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def wait_in_the_loop(true: Callable[[], bool]) -> None:
    """The loop hears of nothing meanwhile."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def sync() -> HeldSync:
    return HeldSync()


@pytest.fixture
async def things(tmp_path: Path, sync: HeldSync) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db", sync=sync)
    await database.open()
    await run(database, CREATE_THING)
    yield database
    if sync.is_under_way:  # the test has failed
        sync.end()
    await database.close()


async def committed(database: SqliteDatabase, sync: HeldSync, number: int) -> "asyncio.Task[list[int]]":
    """A script that is over but for its sync."""
    running = asyncio.create_task(database.run(insert(number)))
    await until(lambda: sync.is_under_way)
    return running


async def look(transaction: Transaction) -> list[int]:
    return [row[0] for row in await transaction.fetch(IDS)]


async def seen(database: SqliteDatabase, looking: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """A read or a glance that has seen what it wants."""
    task = asyncio.create_task(looking)
    await asyncio.sleep(0)  # it has asked
    await until(lambda: database._reader_thread.is_idle and database._glancer_thread.is_idle)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_script_is_answered_when_its_log_is_on_the_disk(things: SqliteDatabase, sync: HeldSync) -> None:
    running = await committed(things, sync, 1)
    assert not running.done()

    sync.end()

    assert await running == []


@pytest.mark.parametrize("way", [SqliteDatabase.read, SqliteDatabase.glance])
async def test_a_read_that_saw_what_is_not_on_the_disk_yet_waits_for_it(
    things: SqliteDatabase, sync: HeldSync, way: Way
) -> None:
    running = await committed(things, sync, 1)
    reading = await seen(things, way(things, look))
    assert not reading.done()

    sync.end()

    assert await reading == [1]
    await running


async def test_an_error_that_came_of_what_is_not_on_the_disk_yet_waits_for_it(
    things: SqliteDatabase, sync: HeldSync
) -> None:
    async def work(transaction: Any) -> None:
        raise LookupError(await transaction.fetch(IDS))

    running = await committed(things, sync, 1)
    reading = await seen(things, things.read(work))
    assert not reading.done()

    sync.end()

    with pytest.raises(LookupError, match="1"):
        await reading
    await running


@pytest.mark.parametrize("way", [SqliteDatabase.read, SqliteDatabase.glance])
async def test_after_a_sync_that_failed_nothing_is_acknowledged_or_shown_until_the_log_is_written_again(
    things: SqliteDatabase, sync: HeldSync, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await committed(things, sync, 1)
    reading = await seen(things, way(things, look))
    monkeypatch.setattr(sqlite_connection, "rewrite_log", refuse_to_write)

    sync.end(OSError(errno.EIO, "broken"))

    with pytest.raises(CommitUncertain, match="broken"):
        await running
    with pytest.raises(DatabaseUnavailable):
        await reading
    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        await way(things, look)
    monkeypatch.undo()
    assert await way(things, look) == [1]
    await run(things, INSERT, 2)
    assert await way(things, look) == [1, 2]


async def test_a_read_that_lasts_longer_than_the_doubt_is_not_told_what_it_saw(
    things: SqliteDatabase, sync: HeldSync
) -> None:
    saw, doubted = threading.Event(), threading.Event()

    async def work(transaction: Transaction) -> list[int]:
        found = await look(transaction)
        saw.set()
        assert doubted.wait(10)
        return found

    running = await committed(things, sync, 1)
    reading = asyncio.create_task(things.read(work))
    await until(saw.is_set)
    sync.end(OSError(errno.EIO, "broken"))
    next_one = asyncio.create_task(run(things, INSERT, 2))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not next_one.done()  # it waits for whoever may know what is lost
    doubted.set()
    wait_in_the_loop(lambda: not things._writer.in_doubt)

    with pytest.raises(DatabaseUnavailable):
        await reading
    with pytest.raises(CommitUncertain):
        await running
    await next_one
    assert await ids(things) == [1, 2]


_LOOK_ON = """
import sys, apsw
connection = apsw.Connection(sys.argv[1], apsw.SQLITE_OPEN_READONLY)
for line in sys.stdin:
    print([row[0] for row in connection.execute("SELECT id FROM thing ORDER BY id")], flush=True)
"""


@pytest.fixture
def onlooker(things: SqliteDatabase, tmp_path: Path) -> Iterator[Callable[[], object]]:
    """Another process that has the file open, and says what is in it."""
    command = [sys.executable, "-c", _LOOK_ON, str(tmp_path / "books.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def look_on() -> object:
            stdin.write("\n")
            return json.loads(stdout.readline())

        yield look_on


async def test_what_the_log_has_lost_is_not_looked_for_in_it_though_another_process_has_its_index_open(
    things: SqliteDatabase, sync: HeldSync, onlooker: Callable[[], object], tmp_path: Path
) -> None:
    log = tmp_path / "books.db-wal"
    before = log.stat().st_size
    running = await committed(things, sync, 1)
    assert onlooker() == [1]  # it has the index, and so it stays

    with log.open("r+b") as lost:  # as a file system does that looks at its disk again
        lost.seek(before)
        lost.write(bytes(log.stat().st_size - before))
    sync.end(OSError(errno.EIO, "broken"))
    with pytest.raises(CommitUncertain):
        await running
    assert await ids(things) == []
    await run(things, INSERT, 2)
    assert await ids(things) == [2]
    assert onlooker() == [2]


async def test_who_looks_from_another_process_sees_what_is_on_the_disk(
    things: SqliteDatabase, sync: HeldSync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = SqliteDatabase(tmp_path / "books.db", read_only=True)
    await beside.open()
    running = await committed(things, sync, 1)
    synced = []

    def sync_file(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        if len(synced) > 1:
            raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", sync_file)
    assert await ids(beside) == [1]
    with pytest.raises(DatabaseUnavailable, match="broken"):
        await ids(beside)
    monkeypatch.undo()

    assert synced == [tmp_path / "books.db-wal"] * 2
    sync.end()
    await running
    await beside.close()


async def test_nothing_begins_while_a_sync_is_under_way_and_all_of_it_in_order_afterwards(
    things: SqliteDatabase, sync: HeldSync
) -> None:
    running = await committed(things, sync, 1)

    async def one(number: int) -> None:
        await (things.run(insert(number)) if number % 2 else run(things, INSERT, number))

    further = [asyncio.create_task(one(number)) for number in range(2, 8)]
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not any(task.done() for task in further)

    sync.end()
    await asyncio.gather(running, *further)

    assert sync.begun == 1  # the thread's COMMITs wait for the disk themselves
    assert await ids(things) == [*range(1, 8)]


async def test_a_caller_who_leaves_during_the_sync_stops_nothing(things: SqliteDatabase, sync: HeldSync) -> None:
    running = await committed(things, sync, 1)
    running.cancel()
    await asyncio.wait({running})
    next_one = asyncio.create_task(run(things, INSERT, 2))

    sync.end()

    await next_one
    assert await ids(things) == [1, 2]


async def test_closing_waits_for_the_sync_that_is_under_way(things: SqliteDatabase, sync: HeldSync) -> None:
    running = await committed(things, sync, 1)
    closing = [asyncio.create_task(things.close()) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not any(task.done() for task in closing)

    sync.end()

    await asyncio.gather(*closing)
    assert await running == []
    assert sync.closed
    with pytest.raises(DatabaseUnavailable):
        await things.run(insert(2))

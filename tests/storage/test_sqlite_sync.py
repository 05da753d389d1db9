"""A script's COMMIT on SQLite does not wait for the disk, but who asked for it does, and so does who reads it."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from service.storage import kernel_sync as kernel_sync_module
from service.storage import sqlite_session
from service.storage.database import Script, Step
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.kernel_sync import Ended, kernel_sync
from service.storage.sqlite import SqliteDatabase
from tests.storage.broken_disk import BrokenDisk
from tests.storage.file_syncs import HeldSync
from tests.storage.statements import CREATE_THING, IDS, INSERT, ids, run


def insert(number: int) -> Script[list[int]]:
    return Script([Step(INSERT, [(number,)])], list)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


@pytest.fixture
def sync() -> HeldSync:
    return HeldSync()


@pytest.fixture
async def things(tmp_path: Path, sync: HeldSync) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db", sync=sync)
    await database.open()
    await run(database, CREATE_THING)
    yield database
    await database.close()


async def committed(database: SqliteDatabase, sync: HeldSync, number: int) -> "asyncio.Task[list[int]]":
    """A script that is over but for its sync."""
    running = asyncio.create_task(database.run(insert(number)))
    await until(lambda: sync.is_under_way)
    return running


async def read(database: SqliteDatabase) -> "asyncio.Task[list[int]]":
    """A read that has seen what it wants."""
    reading = asyncio.create_task(ids(database))
    await asyncio.sleep(0)  # it has asked
    await until(lambda: database._reader_thread.is_idle)
    for _ in range(5):
        await asyncio.sleep(0)
    return reading


async def test_a_script_is_answered_when_its_log_is_on_the_disk(things: SqliteDatabase, sync: HeldSync) -> None:
    running = await committed(things, sync, 1)
    assert not running.done()

    sync.end()

    assert await running == []


async def test_a_read_that_saw_what_is_not_on_the_disk_yet_waits_for_it(things: SqliteDatabase, sync: HeldSync) -> None:
    running = await committed(things, sync, 1)
    reading = await read(things)
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
    reading = asyncio.create_task(things.read(work))
    await asyncio.sleep(0)
    await until(lambda: things._reader_thread.is_idle)
    assert not reading.done()

    sync.end()

    with pytest.raises(LookupError, match="1"):
        await reading
    await running


async def test_after_a_sync_that_failed_nothing_is_acknowledged_or_shown_until_the_log_is_written_again(
    things: SqliteDatabase, sync: HeldSync
) -> None:
    running = await committed(things, sync, 1)
    reading = await read(things)

    sync.end(OSError(errno.EIO, "broken"))

    with pytest.raises(CommitUncertain, match="broken"):
        await running
    with pytest.raises(DatabaseUnavailable):
        await reading
    with pytest.raises(DatabaseUnavailable):
        await ids(things)
    await run(things, INSERT, 2)  # opens the file anew
    assert await ids(things) == [1, 2]


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
    closing = asyncio.create_task(things.close())
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not closing.done()

    sync.end()

    await closing
    assert await running == []
    assert sync.closed
    with pytest.raises(DatabaseUnavailable):
        await things.run(insert(2))


class Instant:
    """A sync that is over at once."""

    begun = 0

    def begin(self, descriptor: int, ended: Ended) -> None:
        assert descriptor >= 0
        self.begun += 1
        ended(None)

    def close(self) -> None:
        """Nothing is open."""


class Watched(BrokenDisk):
    """Which threads have waited for it."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []

    def synced(self) -> None:
        self.threads.append(threading.current_thread().name)


@pytest.fixture
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_session, "CHECKPOINT_PAGES", 30)


@pytest.mark.usefixtures("frequent_checkpoints")
async def test_the_loop_never_waits_for_the_disk_though_the_log_begins_anew_again_and_again(tmp_path: Path) -> None:
    disk, sync = Watched(), Instant()
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name, sync=sync)
    await database.open()
    await run(database, CREATE_THING)
    for number in range(200):
        await database.run(insert(number))
    await database.close()

    assert set(disk.threads) == {"sqlite-writer"}
    assert len(disk.threads) > 20  # two for a checkpoint, two for what begins the log
    assert sync.begun > 100


@pytest.mark.usefixtures("frequent_checkpoints")
async def test_after_a_long_read_the_log_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    log = tmp_path / "books.db-wal"
    database = SqliteDatabase(path, sync=Instant())
    await database.open()
    await run(database, CREATE_THING)
    reader = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    assert reader.execute(IDS).fetchall() == []
    for number in range(100):
        await database.run(insert(number))
    long_bytes = log.stat().st_size
    assert long_bytes > 2 * 30 * 4096

    reader.execute("ROLLBACK")
    for number in range(100, 400):
        await database.run(insert(number))

    assert log.stat().st_size < long_bytes + 3 * 30 * 4096
    reader.close()
    await database.close()


async def test_where_there_is_no_kernel_aio_commit_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_import(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", refuse_import)
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    assert database._sync is None
    await run(database, CREATE_THING)
    for number in range(3):
        await database.run(insert(number))
        assert await run(database, "PRAGMA synchronous") == [(2,)]

    assert await ids(database) == [0, 1, 2]
    await database.close()


async def test_a_file_that_the_kernel_does_not_sync_is_synced_in_the_thread() -> None:
    reading, writing = os.pipe()

    assert await kernel_sync(writing) is None

    os.close(reading)
    os.close(writing)


@pytest.fixture
async def on_kernel(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    await run(database, CREATE_THING)
    if database._sync is None:
        await database.close()
        pytest.skip("this kernel has no AIO for us")
    yield database
    await database.close()


async def test_with_the_kernels_help_scripts_need_no_thread(on_kernel: SqliteDatabase) -> None:
    before = on_kernel._writer_thread._given
    for number in range(50):
        await on_kernel.run(insert(number))

    assert on_kernel._writer_thread._given == before
    assert await ids(on_kernel) == [*range(50)]


class FakeAio:
    """What stands for the kernel: it takes an operation, and says the number that it ended with."""

    def __init__(self) -> None:
        self.results: list[int] = []
        self.refuses = False
        self._under_way: list[Callable[[int], object]] = []
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK)
        self.Operation = self

    def Context(self, max_requests: int) -> "FakeAio":
        assert max_requests == 1
        return self

    def fdsync(self, descriptor: int) -> "FakeAio":
        assert os.fstat(descriptor)
        return self

    def set_callback(self, callback: Callable[[int], object]) -> None:
        self._under_way.append(callback)

    def submit(self, operation: object) -> None:
        assert operation is self
        if self.refuses:
            self._under_way.pop()
            raise OverflowError("Insufficient resources")
        os.eventfd_write(self.fileno, 1)

    def poll(self) -> None:
        os.eventfd_read(self.fileno)

    def process_events(self, most: int) -> None:
        assert most == 1
        self._under_way.pop()(self.results.pop() if self.results else 0)


@pytest.fixture
async def aio(monkeypatch: pytest.MonkeyPatch) -> FakeAio:
    fake = FakeAio()
    monkeypatch.setattr("importlib.import_module", lambda _: fake)
    monkeypatch.setattr(kernel_sync_module, "_spare_contexts", [])
    return fake


def fail(aio: FakeAio) -> None:
    aio.results.append(2**64 - errno.EIO)


def refuse(aio: FakeAio) -> None:
    aio.refuses = True


@pytest.mark.parametrize("breaks", [fail, refuse])
async def test_a_kernel_that_fails_or_refuses_makes_the_commit_uncertain_and_is_asked_again(
    tmp_path: Path, aio: FakeAio, breaks: Callable[[FakeAio], None]
) -> None:
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    await run(database, CREATE_THING)
    await database.run(insert(1))

    breaks(aio)
    with pytest.raises(CommitUncertain):
        await database.run(insert(2))
    aio.refuses = False

    await database.run(insert(3))
    await database.run(insert(4))
    assert await ids(database) == [1, 2, 3, 4]
    await database.close()
    os.close(aio.fileno)

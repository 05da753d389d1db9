"""Where COMMIT does not wait for the disk, the log is taken into the file and begins anew all the same."""

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from service.storage import sqlite_session
from service.storage.kernel_sync import Ended
from service.storage.sqlite import SqliteDatabase
from tests.storage.broken_disk import BrokenDisk
from tests.storage.statements import CREATE_THING, IDS, insert, run


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
        async with asyncio.timeout(10):
            while not database._writer_thread.is_idle:  # or it would do the next one, which begins the log
                await asyncio.sleep(0)
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

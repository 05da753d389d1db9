"""SQLite on a disk that breaks: nothing acknowledged is lost, every error tells the truth, and it heals by itself."""

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.storage import sqlite_session
from service.storage.database import Script, Step
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.sqlite import SqliteDatabase
from tests.memory import memory_folder
from tests.storage.broken_disk import KINDS, BrokenDisk, Fault
from tests.storage.endurance import INSERT_BYTES, TRANSACTIONS, Endurance, never, sweep, there
from tests.storage.file_syncs import DiskSync, NoSync
from tests.storage.statements import CREATE_THING, ids, run

OPERATIONS_MIN = {"write": 60, "torn": 60, "full": 60, "sync": 14, "read": 2}
"""What these take at least, so that a fault before it strikes."""


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_session, "CHECKPOINT_PAGES", 15)


who_syncs = pytest.mark.parametrize("beside", [None, DiskSync], ids=["COMMIT", "beside"])


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The disk under test is a model: its files need no real one."""
    with tempfile.TemporaryDirectory(prefix="cohort-disk-", dir=memory_folder()) as folder:
        yield Path(folder)


@who_syncs
async def test_without_a_fault_everything_is_acknowledged_and_survives(
    tmp_path: Path, beside: type[DiskSync] | None
) -> None:
    told = await Endurance(tmp_path, never(), beside).run()

    assert told.acknowledged == list(range(2 * TRANSACTIONS))


@who_syncs
async def test_a_disk_that_breaks_anywhere_loses_nothing_acknowledged(
    scratch: Path, beside: type[DiskSync] | None
) -> None:
    chance = random.Random(20261121)
    faults = [
        Fault(kind, chance.randrange(OPERATIONS_MIN[kind]), times, forgets=forgets)
        for kind in KINDS
        for times in (1, 4)
        for forgets in (False, True)
        for _ in range(2)
    ]

    sums = await sweep(scratch, faults, beside)

    assert sums["faults that struck"] >= len(faults)
    assert min(sums.values()) > 0


@who_syncs
@pytest.mark.prove
async def test_a_disk_that_breaks_at_each_operation_loses_nothing_acknowledged(
    scratch: Path, beside: type[DiskSync] | None
) -> None:
    (scratch / "calm").mkdir()
    operations = (await Endurance(scratch / "calm", never(), beside).run()).operations
    faults = [
        Fault(kind, at, times, forgets=forgets)
        for kind in KINDS
        for at in range(operations[kind])
        for times in (1, 2, 5)
        for forgets in ((False, True) if kind == "sync" else (False,))
    ]

    sums = await sweep(scratch, faults, beside)

    assert sums["faults that struck"] >= len(faults)


async def test_a_read_that_meets_a_broken_disk_is_unavailable_and_the_next_one_is_well(tmp_path: Path) -> None:
    disk = BrokenDisk()
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name)
    await database.open()
    await run(database, CREATE_THING)
    await run(database, INSERT_BYTES, 0, b"")

    disk.fault = Fault("read", 0)
    with pytest.raises(DatabaseUnavailable):
        await ids(database)

    assert await ids(database) == [0]
    await database.close()


async def test_a_disk_that_breaks_while_the_file_is_opened_is_unavailable_and_heals(tmp_path: Path) -> None:
    for kind in KINDS:
        for at in range(3):
            folder = tmp_path / f"{kind}-{at}"
            folder.mkdir()
            disk = BrokenDisk(Fault(kind, at))
            with contextlib.suppress(DatabaseUnavailable):  # some of it SQLite does not need to go well
                first = SqliteDatabase(folder / "books.db", vfs=disk.name)
                await first.open()
                await first.close()

            database = SqliteDatabase(folder / "books.db", vfs=disk.name)
            await database.open()
            await run(database, CREATE_THING)
            assert await ids(database) == []
            await database.close()


@pytest.mark.parametrize(("beside", "at_risk"), [(None, False), (DiskSync, False), (NoSync, True)])
async def test_what_is_acknowledged_is_synced(tmp_path: Path, beside: type[DiskSync] | None, at_risk: bool) -> None:  # noqa: FBT001
    disk = BrokenDisk()
    sync = None if beside is None else beside(disk, tmp_path / "books.db-wal")
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name, sync=sync)
    await database.open()
    await run(database, CREATE_THING)

    pending = []
    for number in range(100):
        await database.run(Script([Step(INSERT_BYTES, [(number, bytes(500))])], list))
        pending.append(disk.pending("books.db-wal"))
    await database.close()

    print(f"{beside}: at most {max(pending)} writes not synced when a transaction was acknowledged")
    assert (max(pending) > 0) is at_risk


async def test_a_log_that_a_failed_sync_left_is_written_again_before_it_is_built_upon(tmp_path: Path) -> None:
    """The process dies after the failed sync. Linux has the pages, and the next process finds them, but no disk has."""
    disk = BrokenDisk()
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name)
    await database.open()
    await run(database, CREATE_THING)
    await run(database, INSERT_BYTES, 0, b"")
    disk.fault = Fault("sync", 0, times=100)
    with pytest.raises(CommitUncertain):
        await run(database, INSERT_BYTES, 1, bytes(3000))
    await asyncio.to_thread(shutil.copytree, tmp_path, tmp_path / "next")
    (tmp_path / "next" / "books.db-shm").unlink()
    await database.close()

    disk.fault = never()
    successor = SqliteDatabase(tmp_path / "next" / "books.db", vfs=disk.name)
    await successor.open()
    assert await ids(successor) == [0, 1]
    await run(successor, INSERT_BYTES, 2, b"")

    image = tmp_path / "image"
    image.mkdir()
    disk.after_power_failure(image, random.Random(0), kept=0)
    assert there(image / "books.db") == [0, 1, 2]
    await successor.close()

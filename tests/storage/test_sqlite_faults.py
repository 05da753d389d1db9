"""SQLite on a disk that breaks: nothing acknowledged is lost, every error tells the truth, and it heals by itself."""

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

from service.storage import sqlite
from service.storage.database import Script, Step
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.sqlite import SqliteDatabase
from service.storage.steps import work_of
from tests.memory import memory_folder
from tests.storage.broken_disk import KINDS, BrokenDisk, Fault, Kind
from tests.storage.statements import CREATE_THING, ids, run

TRANSACTIONS = 14
OPERATIONS_MIN = {"write": 60, "torn": 60, "full": 60, "sync": 14, "read": 2}
"""What these take at least, so that a fault before it strikes."""
IMAGES = 4
_INSERT = "INSERT INTO thing (id, bytes) VALUES ($1, $2)"


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 15)


def never() -> Fault:
    return Fault("write", 0, times=0)


@dataclass
class Run:
    """What callers were told, and how often a power failure was tried."""

    operations: dict[Kind, int]
    acknowledged: list[int] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    power_failures: int = 0

    def agrees_with(self, there: list[int]) -> None:
        """Asserts that what is there is what callers were told."""
        assert all(number ^ 1 in there for number in there), "half a transaction"
        assert set(self.acknowledged) <= set(there), f"lost: {set(self.acknowledged) - set(there)}"
        assert set(there) <= {*self.acknowledged, *self.uncertain}, f"resurrected: {self.refused}"


async def endure(folder: Path, fault: Fault) -> Run:
    """Writes while the fault strikes, and fails the power after every error and at the end."""
    disk, chance = BrokenDisk(), random.Random(f"{fault}")
    told = Run(disk.operations)
    database = SqliteDatabase(folder / "books.db", vfs=disk.name)
    await database.open()
    await run(database, CREATE_THING)
    disk.fault = fault
    disk.operations.update(dict.fromkeys(KINDS, 0))
    for number in range(TRANSACTIONS):
        # A page each, and one that all of them touch.
        rows = [(2 * number + part, bytes(chance.randrange(3000))) for part in range(2)]
        script = Script([Step(_INSERT, rows)], list)
        hits = fault.hits
        try:
            await (database.run(script) if number % 2 else database.transact(work_of(script)))
        except CommitUncertain:
            told.uncertain += [2 * number, 2 * number + 1]
        except DatabaseUnavailable:
            told.refused += [2 * number, 2 * number + 1]
        else:
            told.acknowledged += [2 * number, 2 * number + 1]
            continue
        assert fault.hits > hits, "an error without a fault: it did not heal"
        fail_power(disk, folder, told, chance)
    fail_power(disk, folder, told, chance)
    disk.fault = never()
    told.agrees_with(await ids(database))
    await database.close()
    told.agrees_with(there(folder / "books.db"))
    return told


def fail_power(disk: BrokenDisk, folder: Path, told: Run, chance: random.Random) -> None:
    """Looks at some of what a power failure would leave now."""
    for kept in (0.0, 1.0, *(chance.random() for _ in range(IMAGES - 2))):
        image = folder / f"image-{told.power_failures}"
        image.mkdir()
        disk.after_power_failure(image, chance, kept)
        told.power_failures += 1
        told.agrees_with(there(image / "books.db"))


def there(path: Path) -> list[int]:
    """What a new process finds in a file that must be sound."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = connection.execute("SELECT id FROM thing ORDER BY id").fetchall()
    connection.close()
    return [int(str(row[0])) for row in rows]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The disk under test is a model: its files need no real one."""
    with tempfile.TemporaryDirectory(prefix="cohort-disk-", dir=memory_folder()) as folder:
        yield Path(folder)


async def sweep(folder: Path, faults: Iterable[Fault]) -> dict[str, int]:
    """Endures each fault in a folder of its own; what happened in all of them together."""
    sums = dict.fromkeys(["runs", "faults that struck", "acknowledged", "uncertain", "refused", "power failures"], 0)
    for number, fault in enumerate(faults):
        (folder / str(number)).mkdir()
        told = await endure(folder / str(number), fault)
        shutil.rmtree(folder / str(number))
        counts = (1, fault.hits, len(told.acknowledged), len(told.uncertain), len(told.refused), told.power_failures)
        sums = {name: sums[name] + count for name, count in zip(sums, counts, strict=True)}
    print(", ".join(f"{count} {name}" for name, count in sums.items()) + "; lost 0")
    return sums


async def test_without_a_fault_everything_is_acknowledged_and_survives(tmp_path: Path) -> None:
    told = await endure(tmp_path, never())

    assert told.acknowledged == list(range(2 * TRANSACTIONS))


async def test_a_disk_that_breaks_anywhere_loses_nothing_acknowledged(scratch: Path) -> None:
    chance = random.Random(20261121)
    faults = [
        Fault(kind, chance.randrange(OPERATIONS_MIN[kind]), times)
        for kind in KINDS
        for times in (1, 4)
        for _ in range(4)
    ]

    sums = await sweep(scratch, faults)

    assert sums["faults that struck"] >= len(faults)
    assert min(sums.values()) > 0


@pytest.mark.prove
async def test_a_disk_that_breaks_at_each_operation_loses_nothing_acknowledged(scratch: Path) -> None:
    calm = never()
    (scratch / "calm").mkdir()
    operations = (await endure(scratch / "calm", calm)).operations
    faults = [Fault(kind, at, times) for kind in KINDS for at in range(operations[kind]) for times in (1, 2, 5)]

    sums = await sweep(scratch, faults)

    assert sums["faults that struck"] >= len(faults)


async def test_a_read_that_meets_a_broken_disk_is_unavailable_and_the_next_one_is_well(tmp_path: Path) -> None:
    disk = BrokenDisk()
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name)
    await database.open()
    await run(database, CREATE_THING)
    await run(database, _INSERT, 0, b"")

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


@pytest.mark.parametrize(("synchronous", "at_risk"), [("FULL", False), ("NORMAL", True)])
async def test_what_is_acknowledged_is_synced(tmp_path: Path, synchronous: str, at_risk: bool) -> None:  # noqa: FBT001
    disk = BrokenDisk()
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name)
    await database.open()
    await run(database, CREATE_THING)
    await database._writer_thread.run(lambda: database._writer.open().execute(f"PRAGMA synchronous = {synchronous}"))

    pending = []
    for number in range(100):
        await run(database, _INSERT, number, bytes(500))
        pending.append(disk.pending("books.db-wal"))
    await database.close()

    print(f"synchronous={synchronous}: at most {max(pending)} writes not synced when a transaction was acknowledged")
    assert (max(pending) > 0) is at_risk


async def test_a_log_that_a_failed_sync_left_is_written_again_before_it_is_built_upon(tmp_path: Path) -> None:
    """The process dies after the failed sync. Linux has the pages, and the next process finds them, but no disk has."""
    disk = BrokenDisk()
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name)
    await database.open()
    await run(database, CREATE_THING)
    await run(database, _INSERT, 0, b"")
    disk.fault = Fault("sync", 0, times=100)
    with pytest.raises(CommitUncertain):
        await run(database, _INSERT, 1, bytes(3000))
    await asyncio.to_thread(shutil.copytree, tmp_path, tmp_path / "next")
    (tmp_path / "next" / "books.db-shm").unlink()
    await database.close()

    disk.fault = never()
    successor = SqliteDatabase(tmp_path / "next" / "books.db", vfs=disk.name)
    await successor.open()
    assert await ids(successor) == [0, 1]
    await run(successor, _INSERT, 2, b"")

    image = tmp_path / "image"
    image.mkdir()
    disk.after_power_failure(image, random.Random(0), kept=0)
    assert there(image / "books.db") == [0, 1, 2]
    await successor.close()

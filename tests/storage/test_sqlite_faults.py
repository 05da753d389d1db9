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

from service.storage import sqlite_session
from service.storage.database import Script, Step
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.kernel_sync import Ended
from service.storage.sqlite import SqliteDatabase
from service.storage.steps import work_of
from tests.memory import memory_folder
from tests.storage.broken_disk import KINDS, BrokenDisk, Fault, Kind
from tests.storage.file_syncs import DiskSync
from tests.storage.statements import CREATE_THING, IDS, ids, run

TRANSACTIONS = 14
OPERATIONS_MIN = {"write": 60, "torn": 60, "full": 60, "sync": 14, "read": 2}
"""What these take at least, so that a fault before it strikes."""
BESIDE_MIN = 3
"""How many of them somebody else syncs than COMMIT, at least."""
IMAGES = 4
_INSERT = "INSERT INTO thing (id, bytes) VALUES ($1, $2)"


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_session, "CHECKPOINT_PAGES", 15)


who_syncs = pytest.mark.parametrize("beside", [False, True], ids=["COMMIT", "beside"])


def never() -> Fault:
    return Fault("write", 0, times=0)


@dataclass
class Run:
    """What callers were told and shown, and how often a power failure was tried."""

    operations: dict[Kind, int]
    shown: set[int] = field(default_factory=set)
    acknowledged: list[int] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    power_failures: int = 0

    def agrees_with(self, there: list[int]) -> None:
        """Asserts that what is there is what callers were told."""
        assert all(number ^ 1 in there for number in there), "half a transaction"
        assert set(self.acknowledged) <= set(there), f"lost: {set(self.acknowledged) - set(there)}"
        assert self.shown <= set(there), f"shown and lost: {self.shown - set(there)}"
        assert set(there) <= {*self.acknowledged, *self.uncertain}, f"resurrected: {self.refused}"


async def endure(folder: Path, fault: Fault, *, beside: bool) -> Run:
    """Writes and reads while the fault strikes, and fails the power after every error and at the end.

    With *beside* the scripts' COMMITs are not synced by SQLite, and the power fails before somebody else does it.
    """
    disk, chance = BrokenDisk(), random.Random(f"{fault}{beside}")
    told = Run(disk.operations)

    def before_the_sync() -> None:
        told.uncertain += pair
        fail_power(disk, folder, told, chance)
        del told.uncertain[-2:]

    pair: list[int] = []
    sync = DiskSync(disk, folder / "books.db-wal", before_the_sync) if beside else None
    database = SqliteDatabase(folder / "books.db", vfs=disk.name, sync=sync)
    await database.open()
    await run(database, CREATE_THING)
    disk.fault = fault
    disk.operations.update(dict.fromkeys(KINDS, 0))
    for number in range(TRANSACTIONS):
        # A page each, and one that all of them touch.
        pair = [2 * number, 2 * number + 1]
        script = Script([Step(_INSERT, [(each, bytes(chance.randrange(3000))) for each in pair])], list)
        hits = fault.hits
        try:
            await (database.run(script) if number % (7 if beside else 2) else database.transact(work_of(script)))
        except CommitUncertain:
            told.uncertain += pair
        except DatabaseUnavailable:
            told.refused += pair
        else:
            told.acknowledged += pair
            continue
        assert fault.hits > hits, "an error without a fault: it did not heal"
        with contextlib.suppress(DatabaseUnavailable):
            told.shown.update(await ids(database))
        fail_power(disk, folder, told, chance)
    fail_power(disk, folder, told, chance)
    disk.fault = never()
    await run(database, IDS)  # opens the file anew, if it has to be
    told.agrees_with(await ids(database))
    await database.close()
    told.agrees_with(there(folder / "books.db"))
    assert sync is None or sync.begun >= BESIDE_MIN
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


async def sweep(folder: Path, faults: Iterable[Fault], *, beside: bool) -> dict[str, int]:
    """Endures each fault in a folder of its own; what happened in all of them together."""
    sums = dict.fromkeys(["runs", "faults that struck", "acknowledged", "uncertain", "refused", "power failures"], 0)
    for number, fault in enumerate(faults):
        (folder / str(number)).mkdir()
        told = await endure(folder / str(number), fault, beside=beside)
        shutil.rmtree(folder / str(number))
        counts = (1, fault.hits, len(told.acknowledged), len(told.uncertain), len(told.refused), told.power_failures)
        sums = {name: sums[name] + count for name, count in zip(sums, counts, strict=True)}
    print(", ".join(f"{count} {name}" for name, count in sums.items()) + "; lost 0")
    return sums


@who_syncs
async def test_without_a_fault_everything_is_acknowledged_and_survives(tmp_path: Path, beside: bool) -> None:  # noqa: FBT001
    told = await endure(tmp_path, never(), beside=beside)

    assert told.acknowledged == list(range(2 * TRANSACTIONS))


@who_syncs
async def test_a_disk_that_breaks_anywhere_loses_nothing_acknowledged(scratch: Path, beside: bool) -> None:  # noqa: FBT001
    chance = random.Random(20261121)
    faults = [
        Fault(kind, chance.randrange(OPERATIONS_MIN[kind]), times)
        for kind in KINDS
        for times in (1, 4)
        for _ in range(4)
    ]

    sums = await sweep(scratch, faults, beside=beside)

    assert sums["faults that struck"] >= len(faults)
    assert min(sums.values()) > 0


@who_syncs
@pytest.mark.prove
async def test_a_disk_that_breaks_at_each_operation_loses_nothing_acknowledged(scratch: Path, beside: bool) -> None:  # noqa: FBT001
    calm = never()
    (scratch / "calm").mkdir()
    operations = (await endure(scratch / "calm", calm, beside=beside)).operations
    faults = [Fault(kind, at, times) for kind in KINDS for at in range(operations[kind]) for times in (1, 2, 5)]

    sums = await sweep(scratch, faults, beside=beside)

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


class NoSync(DiskSync):
    """Says that the log is on the disk without having looked."""

    def begin(self, descriptor: int, ended: Ended) -> None:  # noqa: ARG002 - see above
        ended(None)


@pytest.mark.parametrize(("beside", "at_risk"), [(None, False), (DiskSync, False), (NoSync, True)])
async def test_what_is_acknowledged_is_synced(tmp_path: Path, beside: type[DiskSync] | None, at_risk: bool) -> None:  # noqa: FBT001
    disk = BrokenDisk()
    sync = None if beside is None else beside(disk, tmp_path / "books.db-wal")
    database = SqliteDatabase(tmp_path / "books.db", vfs=disk.name, sync=sync)
    await database.open()
    await run(database, CREATE_THING)

    pending = []
    for number in range(100):
        await database.run(Script([Step(_INSERT, [(number, bytes(500))])], list))
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

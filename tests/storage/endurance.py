"""A SQLite database that is written to and read while its disk breaks, and what a power failure leaves each time."""

import asyncio
import contextlib
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from service.storage.database import Script, Step
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.sqlite import SqliteDatabase
from service.storage.steps import work_of
from tests.storage.broken_disk import KINDS, BrokenDisk, Fault, Kind
from tests.storage.file_syncs import DiskSync
from tests.storage.statements import CREATE_THING, IDS, ids, run

TRANSACTIONS = 14
INSERT_BYTES = "INSERT INTO thing (id, bytes) VALUES ($1, $2)"
_BESIDE_MIN = 3
"""How many of them somebody else syncs than COMMIT, at least."""
_IMAGES = 4


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


class Endurance:
    """One database on one disk.

    Args:
        folder: Where it lies, and what power failures leave.
        fault: What breaks.
        beside: What syncs the scripts' COMMITs instead of SQLite, if anything does. Between the one and the other there
            is a read, and the power fails.
    """

    def __init__(self, folder: Path, fault: Fault, beside: type[DiskSync] | None) -> None:
        self._folder = folder
        self._fault = fault
        self._chance = random.Random(f"{fault}{beside}")
        self._disk = BrokenDisk()
        self._sync = None if beside is None else beside(self._disk, folder / "books.db-wal", self._before_the_sync)
        self._database = SqliteDatabase(folder / "books.db", vfs=self._disk.name, sync=self._sync)
        self._pair: list[int] = []
        self._looks: list[asyncio.Task[None]] = []
        self.told = Run(self._disk.operations)

    async def run(self) -> Run:
        """Writes and reads while the fault strikes, and fails the power after every error and at the end."""
        try:
            await self._endure()
        finally:
            self._disk.fault = never()
            await self._database.close()
        self.told.agrees_with(there(self._folder / "books.db"))
        assert self._sync is None or self._sync.begun >= _BESIDE_MIN
        return self.told

    async def _endure(self) -> None:
        await self._database.open()
        await run(self._database, CREATE_THING)
        self._disk.fault = self._fault
        self._disk.operations.update(dict.fromkeys(KINDS, 0))
        for number in range(TRANSACTIONS):
            await self._write(number)
        self._fail_power()
        self._disk.fault = never()
        await run(self._database, IDS)  # opens the file anew, if it has to be
        self.told.agrees_with(await ids(self._database))

    async def _write(self, number: int) -> None:
        # A page each, and one that all of them touch.
        self._pair = [2 * number, 2 * number + 1]
        script = Script(
            [Step(INSERT_BYTES, [(each, bytes(self._chance.randrange(3000))) for each in self._pair])], list
        )
        hits = self._fault.hits
        as_script = number % (7 if self._sync else 2)
        try:
            await (self._database.run(script) if as_script else self._database.transact(work_of(script)))
        except CommitUncertain:
            self.told.uncertain += self._pair
        except DatabaseUnavailable:
            self.told.refused += self._pair
        else:
            self.told.acknowledged += self._pair
            await self._end_looks()
            return
        await self._end_looks()
        assert self._fault.hits > hits, "an error without a fault: it did not heal"
        await self._look()
        self._fail_power()

    async def _look(self) -> None:
        with contextlib.suppress(DatabaseUnavailable):
            self.told.shown.update(await ids(self._database))

    async def _end_looks(self) -> None:
        await asyncio.gather(*self._looks)
        self._looks.clear()
        if self._sync is not None and self._sync.found is not None:
            raise self._sync.found

    async def _before_the_sync(self) -> None:
        self._looks.append(asyncio.create_task(self._look()))
        await asyncio.sleep(0)  # it has asked
        while not self._database._reader_thread.is_idle:
            await asyncio.sleep(0)
        for _ in range(5):  # it would have been told
            await asyncio.sleep(0)
        self.told.uncertain += self._pair
        self._fail_power()
        del self.told.uncertain[-2:]

    def _fail_power(self) -> None:
        """Looks at some of what a power failure would leave now."""
        for kept in (0.0, 1.0, *(self._chance.random() for _ in range(_IMAGES - 2))):
            image = self._folder / f"image-{self.told.power_failures}"
            image.mkdir()
            self._disk.after_power_failure(image, self._chance, kept)
            self.told.power_failures += 1
            self.told.agrees_with(there(image / "books.db"))


def there(path: Path) -> list[int]:
    """What a new process finds in a file that must be sound."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = connection.execute("SELECT id FROM thing ORDER BY id").fetchall()
    connection.close()
    return [int(str(row[0])) for row in rows]


async def sweep(folder: Path, faults: Iterable[Fault], beside: type[DiskSync] | None) -> dict[str, int]:
    """Endures each fault in a folder of its own; what happened in all of them together."""
    sums = dict.fromkeys(["runs", "faults that struck", "acknowledged", "uncertain", "refused", "power failures"], 0)
    for number, fault in enumerate(faults):
        (folder / str(number)).mkdir()
        told = await Endurance(folder / str(number), fault, beside).run()
        shutil.rmtree(folder / str(number))
        counts = (1, fault.hits, len(told.acknowledged), len(told.uncertain), len(told.refused), told.power_failures)
        sums = {name: sums[name] + count for name, count in zip(sums, counts, strict=True)}
    print(", ".join(f"{count} {name}" for name, count in sums.items()) + "; lost 0")
    return sums

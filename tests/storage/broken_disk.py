"""A disk under SQLite that breaks where it is told to, and remembers what a power failure would leave on it."""

import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import apsw

Kind = Literal["write", "torn", "full", "sync", "read"]
KINDS: tuple[Kind, ...] = ("write", "torn", "full", "sync", "read")
_NUMBERS = itertools.count()


@dataclass
class Fault:
    """What breaks, and when.

    Attributes:
        kind: What fails: a write with nothing or the half of it written, for want of space, a sync, or a read.
        at: How many operations of the kind go well before.
        times: How many in a row fail.
        hits: How many have failed.
        forgets: A sync that fails leaves in the file what is on the disk, as Btrfs does; else what was written can
            still be read, as on ext4 and XFS.
    """

    kind: Kind
    at: int
    times: int = 1
    hits: int = 0
    forgets: bool = False

    def strikes(self, kinds: tuple[Kind, ...]) -> bool:
        """Counts an operation; true if it fails."""
        if self.kind not in kinds:
            return False
        self.at -= 1
        if self.at >= 0 or self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass
class Change:
    """A write, or where *data* is None a truncation, and whether a sync has made it durable."""

    offset: int
    data: bytes | None
    durable: bool = False
    given_up: bool = False
    """A sync of it has failed: Linux will not try again."""


class BrokenDisk(apsw.VFS):
    """A VFS by the name of `name`. MUST be kept as long as anything is open on it."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.name = f"broken-{next(_NUMBERS)}"
        self.fault = fault or Fault("write", 0, times=0)
        self.operations = dict.fromkeys(KINDS, 0)
        self._changes: dict[str, list[Change]] = {}
        super().__init__(self.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _File(self, name, flags, self._changes.setdefault(Path(path).name, []))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001 - SQLite's signature
        self._changes.pop(Path(filename).name, None)
        super().xDelete(filename, syncdir)

    def synced(self) -> None:
        """Called at each sync that goes well."""

    def pending(self, name: str) -> int:
        """How many writes to a file no sync has made durable."""
        return sum(not change.durable for change in self._changes.get(name, []))

    def after_power_failure(self, folder: Path, chance: random.Random, kept: float) -> None:
        """Lays into *folder* what may be left: all that is durable, and of the rest each with a chance of *kept*.

        Of what is kept, one write in three is torn.
        """
        for name, changes in self._changes.items():
            content = bytearray()
            for change in changes:
                if change.durable or chance.random() < kept:
                    torn = not change.durable and kept < 1 and chance.random() < 1 / 3
                    _apply(content, change, torn=torn)
            (folder / name).write_bytes(content)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: BrokenDisk, name: str | apsw.URIFilename | None, flags: list[int], changes: list[Change]
    ) -> None:
        self._disk, self._changes = disk, changes
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._count("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        content = bytes(data)
        try:
            self._count("write", "torn", "full")
        except apsw.Error:
            if self._disk.fault.kind == "torn":
                self._write(content[: len(content) // 2], offset)
            raise
        self._write(content, offset)

    def xTruncate(self, newsize: int) -> None:
        self._count("write")
        super().xTruncate(newsize)
        self._changes.append(Change(newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: ARG002 - what counts is the model's sync
        try:
            self._count("sync")
        except apsw.Error:
            for change in self._changes:
                change.given_up = not change.durable
            if self._disk.fault.forgets:
                self._forget()
            raise
        self._disk.synced()
        for change in self._changes:
            change.durable = not change.given_up

    def _forget(self) -> None:
        self._changes[:] = [change for change in self._changes if change.durable]
        content = bytearray()
        for change in self._changes:
            _apply(content, change, torn=False)
        size = super().xFileSize()
        content.extend(bytes(max(0, size - len(content))))
        super().xWrite(bytes(content[:size]), 0)

    def _write(self, content: bytes, offset: int) -> None:
        super().xWrite(content, offset)
        self._changes.append(Change(offset, content))

    def _count(self, *kinds: Kind) -> None:
        for kind in kinds:
            self._disk.operations[kind] += 1
        if self._disk.fault.strikes(kinds):
            raise apsw.FullError if self._disk.fault.kind == "full" else apsw.IOError


def _apply(content: bytearray, change: Change, *, torn: bool) -> None:
    if change.data is None:
        del content[change.offset :]
        return
    data = change.data[: len(change.data) // 2] if torn else change.data
    content.extend(bytes(max(0, change.offset + len(data) - len(content))))
    content[change.offset : change.offset + len(data)] = data

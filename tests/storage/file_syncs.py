"""What may stand in for the kernel where a log is brought to the disk."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw

from service.storage.kernel_sync import Ended
from tests.storage.broken_disk import BrokenDisk


async def at_once() -> None:
    """Nothing is to be done before."""


class DiskSync:
    """Syncs a log on a broken disk, in a later turn of the loop.

    Args:
        disk: The disk.
        log: The log.
        before: What is to be done when COMMIT is over and the sync is not.

    Attributes:
        found: What that has found wrong.
    """

    def __init__(self, disk: BrokenDisk, log: Path, before: Callable[[], Awaitable[None]] = at_once) -> None:
        self._disk = disk
        self._log = log
        self._before = before
        self._under_way: asyncio.Task[None] | None = None
        self.found: AssertionError | None = None
        self.begun = 0

    def begin(self, descriptor: int, ended: Ended) -> None:  # noqa: ARG002 - the disk is a model
        self.begun += 1
        self._under_way = asyncio.create_task(self._end(ended))

    def close(self) -> None:
        """Nothing is open."""

    async def _end(self, ended: Ended) -> None:
        try:
            await self._before()
        except AssertionError as wrong:
            self.found = wrong
        file = apsw.VFSFile(self._disk.name, str(self._log), [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0])
        try:
            file.xSync(apsw.SQLITE_SYNC_NORMAL)
        except apsw.IOError:
            ended(OSError(errno.EIO, "broken"))
        else:
            ended(None)
        finally:
            file.xClose()


class NoSync(DiskSync):
    """Says that the log is on the disk without having looked."""

    def begin(self, descriptor: int, ended: Ended) -> None:  # noqa: ARG002 - see above
        self.begun += 1
        ended(None)


class EarlySync(DiskSync):
    """Says that the log is on the disk, and then brings it there."""

    def begin(self, descriptor: int, ended: Ended) -> None:
        super().begin(descriptor, lambda _: None)
        ended(None)


class HeldSync:
    """Takes as long as the test wants."""

    def __init__(self) -> None:
        self.begun = 0
        self.closed = False
        self._ended: Ended | None = None

    @property
    def is_under_way(self) -> bool:
        return self._ended is not None

    def begin(self, descriptor: int, ended: Ended) -> None:
        assert descriptor >= 0
        assert self._ended is None, "two at once"
        self.begun += 1
        self._ended = ended

    def close(self) -> None:
        assert self._ended is None
        self.closed = True

    def end(self, error: OSError | None = None) -> None:
        assert self._ended is not None
        ended, self._ended = self._ended, None
        ended(error)

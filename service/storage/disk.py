"""Space beside a database file that is given up when there is no other: what was begun can then still be ended."""

import os
from collections.abc import Callable
from pathlib import Path

BALLAST_BYTES = 64 * 1024 * 1024


def free_bytes(folder: Path) -> int:
    """What a process without privileges may still write into a folder's file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Ballast:
    """A file of zeros, dropped when space runs out and taken up again when there is plenty.

    As long as it is there, what is new may begin; without it only what was begun may write. Its methods take
    milliseconds on a healthy disk, and the time of writing the file where the file system cannot reserve space.

    Args:
        database: The file it lies beside.
        low_water_bytes: It is dropped below this; more than is written between two looks at the disk.
        ballast_bytes: Its size.
        free: Tells what is free in a folder, in bytes.
    """

    def __init__(
        self,
        database: Path,
        low_water_bytes: int,
        *,
        ballast_bytes: int = BALLAST_BYTES,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._path = database.with_name(database.name + "-ballast")
        self._low_water_bytes = low_water_bytes
        self._ballast_bytes = ballast_bytes
        self._free = free

    @property
    def aboard(self) -> bool:
        """True if what is new may begin."""
        try:
            return self._path.stat().st_size >= self._ballast_bytes
        except FileNotFoundError:
            return False

    def look(self) -> bool:
        """Looks at the disk: drops the ballast, takes it up, or leaves it.

        Returns:
            `aboard`.
        """
        free = self._free(self._path.parent)
        if self.aboard:
            if free < self._low_water_bytes:
                self.drop()
        elif free >= self._ballast_bytes + 2 * self._low_water_bytes:  # or it would come and go
            self._take_up()
        return self.aboard

    def drop(self) -> None:
        """Gives the space free; also to be called when a write has failed for want of it."""
        self._path.unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Reserves the space. Where that fails there is none, and half a ballast is none either."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._ballast_bytes)
        except OSError:
            self.drop()
        finally:
            os.close(descriptor)

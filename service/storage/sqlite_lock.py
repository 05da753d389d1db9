"""A file beside the database says that a process serves from it: the books of one file have one writer."""

import contextlib
import fcntl
import os
from pathlib import Path

from service.storage.errors import DatabaseUnavailable


class FileLock:
    """A lock that the kernel takes back when the process ends, however it ends.

    The database's own file MUST NOT be opened for it: closing it again would drop SQLite's locks of this process.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes it.

        Raises:
            DatabaseUnavailable: Another process has it, or the folder cannot be written to.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise DatabaseUnavailable(
                f"Another process (pid {holder}) serves from {self._path.name.removesuffix('-lock')}: "
                "a SQLite file has one process; use PostgreSQL for more"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor

    def give_back(self) -> None:
        """Gives it back, if it was taken; the file stays, for removing it would let two have one each."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

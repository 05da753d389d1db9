"""How a SQLite connection of ours is opened and closed: durable, private to its user, and for one thread."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import apsw

SQLITE_MIN = (3, 51, 3)
"""Older ones can damage a file in WAL mode that two connections use (the WAL-reset bug)."""

_FILE_MODE = 0o600
_BUSY_TIMEOUT_MS = 500
_WRITER = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # counts for a new file only: what retention frees can be given back
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -32768",  # KiB
    "PRAGMA wal_autocheckpoint = 1000",  # pages
    "PRAGMA journal_size_limit = 67108864",  # bytes: a long read makes the log grow, and it shrinks again
)
_READER = ("PRAGMA query_only = ON", "PRAGMA cache_size = -32768")


def connect(path: Path, clock_us: Callable[[], int], *, writes: bool, vfs: str | None) -> apsw.Connection:
    """Opens a connection; the writer makes the file if it is not there.

    Raises:
        apsw.Error: It cannot be opened, is no database, or SQLite is too old to be trusted with it.
    """
    if sqlite_version() < SQLITE_MIN:
        raise apsw.CantOpenError(f"SQLite {apsw.sqlite_lib_version()} can damage files; 3.51.3 or newer is needed")
    flags = apsw.SQLITE_OPEN_READONLY
    if writes:
        _make_private(path)
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags, vfs)
    try:
        _configure(connection, writes=writes)
    except BaseException:
        connection.close(True)
        raise
    connection.create_scalar_function("clock_us", clock_us, 0)
    return connection


def sqlite_version() -> tuple[int, ...]:
    """The version of SQLite that apsw brings along."""
    return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))


def close(connection: apsw.Connection) -> None:
    """Closes it; what goes wrong by then concerns no transaction any more."""
    with contextlib.suppress(apsw.Error):
        connection.close(True)


def _make_private(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))


def _configure(connection: apsw.Connection, *, writes: bool) -> None:
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    for pragma in _WRITER if writes else _READER:
        connection.execute(pragma)
    # Only the writer checkpoints: a reader that is the last one to close would do it as well.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0 if writes else 1)

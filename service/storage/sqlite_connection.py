"""How a SQLite connection of ours is opened and closed: durable, private to its user, and for one thread."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

SQLITE_MIN = (3, 51, 3)
"""Older ones can damage a file in WAL mode that two connections use (the WAL-reset bug)."""

_FILE_MODE = 0o600
BUSY_TIMEOUT_MS = 500
_PIECE_BYTES = 1 << 16
"""SQLite's own file calls take 17 bits of a length and leave out the rest: more than 128 KiB is a full disk to them."""
_INDEX_HEADER_BYTES = 96
"""Two copies; one that is not like the other, or empty, is not believed (walformat.html, 2.1)."""
_WRITER = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # counts for a new file only: what retention frees can be given back
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: through the drive's own cache
    "PRAGMA cache_size = -32768",  # KiB
    "PRAGMA wal_autocheckpoint = 0",  # it would be a part of COMMIT: callers would wait for it
    "PRAGMA journal_size_limit = 67108864",  # bytes: a long read makes the log grow, and it shrinks again
)
_READER = (
    "PRAGMA query_only = ON",
    "PRAGMA cache_size = -65536",  # KiB: all days of a large company's year, for reports that read them over and over
)


def connect(
    path: Path, clock_us: Callable[[], int], *, writes: bool, vfs: str | None, alone: bool = False
) -> apsw.Connection:
    """Opens a connection; the writer makes the file if it is not there.

    Args:
        path: The file.
        clock_us: What `clock_us()` says in statements.
        writes: It is the writer.
        vfs: The name of a SQLite VFS.
        alone: No other connection of this process is open, and what the log's index says of it is not believed.

    Raises:
        apsw.Error: It cannot be opened, is no database, or SQLite is too old to be trusted with it.
        OSError: The file cannot be made.
    """
    require_version(apsw.sqlite_lib_version())
    flags = apsw.SQLITE_OPEN_READONLY
    if writes:
        _make_private(path)
        rewrite_log(path, vfs)
        if alone:
            _forget_index(path)
        flags = apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(path), flags, vfs)
    try:
        _configure(connection, writes=writes)
    except BaseException:
        connection.close(True)
        raise

    def now(*_: object) -> int:
        return clock_us()

    connection.create_scalar_function("clock_us", now, 0)
    return connection


def require_version(version: str) -> None:
    """Refuses a SQLite that can damage files.

    Raises:
        apsw.CantOpenError: It is older than `SQLITE_MIN`.
    """
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        raise apsw.CantOpenError(f"SQLite {version} can damage files: 3.51.3 or newer is needed")


def close(connection: apsw.Connection, *, checkpoint: bool) -> None:
    """Closes it; what goes wrong by then concerns no transaction any more.

    Args:
        connection: The connection.
        checkpoint: Takes the log into the file if nobody else has it open; not after an I/O error.
    """
    with contextlib.suppress(apsw.Error):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0 if checkpoint else 1)
        connection.close(True)


def rewrite_log(path: Path, vfs: str | None) -> None:
    """Writes the log that an earlier opening left over itself, and syncs it.

    After an fsync that failed Linux calls the pages clean: they can be read, but are not on the disk, and no later
    fsync brings them there. Recovery would take them for committed and put durable transactions after the hole.

    Raises:
        apsw.Error: It cannot be written.
    """
    log = Path(f"{path}-wal")
    if not log.exists() or not log.stat().st_size:
        return
    file = apsw.VFSFile(vfs or "", str(log), [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0])
    try:
        size = file.xFileSize()
        for offset in range(0, size, _PIECE_BYTES):
            file.xWrite(file.xRead(min(_PIECE_BYTES, size - offset), offset), offset)
        file.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        file.xClose()


def _forget_index(path: Path) -> None:
    """Has whoever opens the log next make its index anew, from as much of the log as its checksums cover.

    The index may count frames that are not in the log any more: some file systems read from the disk again what they
    could not write there. SQLite makes it anew by itself if nobody has it open, but an export beside us may.

    No connection of this process may be open: with this descriptor the kernel drops all of its locks on the index.
    """
    with contextlib.suppress(FileNotFoundError), Path(f"{path}-shm").open("r+b", buffering=0) as index:
        index.write(bytes(_INDEX_HEADER_BYTES))


def open_log(connection: apsw.Connection, path: Path) -> int:
    """A descriptor by which the log can be synced that the connection writes.

    It is another one than SQLite's: each learns by itself of pages that Linux could not write.

    Raises:
        apsw.Error: The log cannot be made.
        OSError: It cannot be opened.
    """
    log = Path(f"{path}-wal")
    if not log.exists():  # SQLite makes a new file's log with its first page
        connection.execute("BEGIN IMMEDIATE; COMMIT")
    return os.open(log, os.O_RDWR | os.O_CLOEXEC)


@contextlib.contextmanager
def bringing_log_to_disk(path: Path) -> Iterator[None]:
    """At its end all is on the disk that was in the log by then: for a process that only looks at the file.

    Raises:
        OSError: It may not be there.
    """
    try:
        log = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # all is in the file
        yield
        return
    try:
        yield
        os.fsync(log)
    finally:
        os.close(log)


def _make_private(path: Path) -> None:
    """Makes the file, for its user alone, and its name durable, which SQLite does for the log only."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _configure(connection: apsw.Connection, *, writes: bool) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    # Or SQLite compiles a statement anew for each value bound to it that might have another plan; none of ours has.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    for pragma in _WRITER if writes else _READER:
        connection.execute(pragma)

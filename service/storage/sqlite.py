"""SQLite in one file, for one process: a writer that alone checkpoints, and readers beside it, each in its thread.

An acknowledged transaction survives a power failure (WAL, synchronous=FULL). After a COMMIT that failed at the disk
the writer is not trusted any more: it is closed without another fsync, and opened anew for the next transaction.
"""

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import apsw

from service.storage.database import Script, Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable, LockTimeout
from service.storage.sqlite_connection import BUSY_TIMEOUT_MS, close, connect
from service.storage.sqlite_lock import FileLock
from service.storage.sqlite_transaction import DISTRUSTED, SqliteTransaction, drive, storage_error
from service.storage.steps import work_of
from service.storage.worker import Worker

T = TypeVar("T")

CHECKPOINT_PAGES = 4000
"""One makes the next transaction wait for milliseconds. At 1,000 pages that would be more than 1 % of them."""


def wall_clock_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class SqliteDatabase:
    """A `Database` in one file.

    Args:
        path: The file; beside it lie its log, its index and its lock.
        clock_us: What `clock_us()` says in statements.
        read_only: For looking into the file while another process serves from it, or while none does.
        vfs: The name of a SQLite VFS, through which tests break the disk.
    """

    engine: Literal["sqlite"] = "sqlite"
    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path,
        *,
        clock_us: Callable[[], int] = wall_clock_us,
        read_only: bool = False,
        vfs: str | None = None,
    ) -> None:
        self._clock_us = clock_us
        self._lock = None if read_only else FileLock(path)
        self._writer = _Session(functools.partial(connect, path, clock_us, writes=True, vfs=vfs), writes=True)
        self._writer_thread = Worker("sqlite-writer", self._writer.checkpoint_if_due)
        connect_reader = functools.partial(connect, path, clock_us, writes=False, vfs=vfs)
        self._reader, self._glancer = (_Session(connect_reader, writes=False) for _ in range(2))
        self._reader_thread, self._glancer_thread = Worker("sqlite-reader"), Worker("sqlite-glancer")

    async def open(self) -> None:
        """Opens the file, and makes it if it is not there.

        Raises:
            DatabaseUnavailable: It cannot be opened, or another process serves from it.
        """
        try:
            if self._lock is not None:
                self._lock.take()
                await self._writer_thread.run(self._writer.open)
            await self._reader_thread.run(self._reader.open)
        except BaseException:
            await self.close()
            raise

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:  # noqa: ARG002 - nobody else locks
        if self._lock is None:
            raise DatabaseUnavailable("The database is open for reading only")
        return await self._writer_thread.run(functools.partial(self._writer.run, work))

    async def run(self, script: Script[T]) -> T:
        work = work_of(script)
        # Statements take microseconds, and in the thread each would wait for the interpreter, which the loop has;
        # COMMIT waits for the disk.
        commit = self._writer.attempt(work) if self._writer_thread.is_idle else None
        return await (self.transact(work) if commit is None else self._writer_thread.run(commit))

    async def read(self, work: Work[T]) -> T:
        return await self._reader_thread.run(functools.partial(self._reader.run, work))

    async def glance(self, work: Work[T]) -> T:
        return await self._glancer_thread.run(functools.partial(self._glancer.run, work))

    async def now_us(self) -> int:
        return self._clock_us()

    async def close(self) -> None:
        await self._reader_thread.close(self._reader.close)
        await self._glancer_thread.close(self._glancer.close)
        await self._writer_thread.close(self._writer.close)  # last, for it takes the log into the file
        if self._lock is not None:
            self._lock.give_back()


class _Session:
    """A connection, opened when it is needed and closed when it is not trusted; for one thread at a time."""

    def __init__(self, connect_: Callable[[], apsw.Connection], *, writes: bool) -> None:
        self._connect = connect_
        self._writes = writes
        self._connection: apsw.Connection | None = None
        self._cursor: apsw.Cursor | None = None
        self._log_pages = 0

    def open(self) -> apsw.Cursor:
        """The cursor that everything runs on.

        Raises:
            DatabaseUnavailable: The file cannot be opened.
        """
        if self._cursor is None:
            try:
                self._connection = self._connect()
            except (apsw.Error, OSError) as error:
                raise DatabaseUnavailable(f"The database cannot be opened: {error}") from error
            self._connection.set_wal_hook(self._committed)
            self._cursor = self._connection.cursor()
        return self._cursor

    def close(self, *, trusted: bool = True) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            close(connection, checkpoint=trusted and self._writes)

    def checkpoint_if_due(self) -> None:
        """Takes the log into the file; if that fails it is tried again after the next transaction."""
        if self._connection is not None and self._log_pages >= CHECKPOINT_PAGES:
            with contextlib.suppress(apsw.Error):
                self._connection.wal_checkpoint()

    def _committed(self, _: apsw.Connection, __: str, log_pages: int) -> int:
        self._log_pages = log_pages
        return apsw.SQLITE_OK

    def run(self, work: Work[T]) -> T:
        """The whole transaction."""
        cursor = self.open()
        result = self._work(cursor, work)
        if self._writes:
            self._commit(cursor)
        else:
            self._roll_back(cursor, None)
        return result

    def attempt(self, work: Work[T]) -> Callable[[], T] | None:
        """All of a transaction but its COMMIT, which is returned; None if something would have to be waited for."""
        cursor, connection = self._cursor, self._connection
        if cursor is None or connection is None:
            return None
        connection.set_busy_timeout(0)
        try:
            result = self._work(cursor, work)
        except LockTimeout:
            return None
        finally:
            if self._connection is connection:
                connection.set_busy_timeout(BUSY_TIMEOUT_MS)

        def commit() -> T:
            self._commit(cursor)
            return result

        return commit

    def _work(self, cursor: apsw.Cursor, work: Work[T]) -> T:
        transaction = SqliteTransaction(cursor)
        try:
            cursor.execute("BEGIN IMMEDIATE" if self._writes else "BEGIN")
            result = drive(work(transaction))
            transaction.require_sound()
        except apsw.Error as error:
            self._roll_back(cursor, error)
            raise storage_error(error) from error
        except BaseException:
            self._roll_back(cursor, transaction.cause)
            raise
        return result

    def _commit(self, cursor: apsw.Cursor) -> None:
        try:
            cursor.execute("COMMIT")
        except apsw.FullError as error:  # a page did not fit, and the last one makes the transaction
            self._roll_back(cursor, error)
            raise storage_error(error) from error
        except apsw.Error as error:
            self.close(trusted=False)
            raise CommitUncertain(f"COMMIT failed: {error}") from error

    def _roll_back(self, cursor: apsw.Cursor, cause: Exception | None) -> None:
        """Undoes what was done; closing does it as well, where the connection is not trusted or cannot."""
        connection = self._connection
        if connection is None:
            return
        if isinstance(cause, DISTRUSTED):
            self.close(trusted=False)
        elif connection.in_transaction:  # after some errors SQLite has rolled back by itself
            try:
                cursor.execute("ROLLBACK")
            except apsw.Error:
                self.close(trusted=False)

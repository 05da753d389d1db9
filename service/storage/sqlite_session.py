"""A SQLite connection and the transactions on it: opened when it is needed, and closed when it is not trusted."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from service.storage.database import Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable, LockTimeout
from service.storage.sqlite_connection import BUSY_TIMEOUT_MS, close, connect, open_log
from service.storage.sqlite_transaction import DISTRUSTED, SqliteTransaction, drive, storage_error

T = TypeVar("T")

CHECKPOINT_PAGES = 4000
"""The log is taken into the file when it has grown by so many, which makes the next transaction wait for milliseconds.
At 1,000 pages that would be more than 1 % of them."""


class Session:
    """Used by one thread at a time, the loop's or its own.

    Args:
        path: The file.
        clock_us: What `clock_us()` says in statements.
        writes: It is the writer, of which there is one.
        vfs: The name of a SQLite VFS.
        readers: The writer's: all others of this process on the file.

    Attributes:
        log: A descriptor of the log; -1 while it is closed.
        log_begins: The next COMMIT may begin the log anew, and waits for the disk: SQLite syncs the log's header.
        in_doubt: Readers may see a transaction in the log that will never come to the disk, also one of a process
            before; until the writer is open.
        doubts: How often that has come about.
    """

    def __init__(
        self,
        path: Path,
        clock_us: Callable[[], int],
        *,
        writes: bool,
        vfs: str | None,
        readers: "Sequence[Session]" = (),
    ) -> None:
        self._path = path
        self._clock_us = clock_us
        self._writes = writes
        self._vfs = vfs
        self._readers = readers
        self._in_use = threading.RLock()
        self._connection: apsw.Connection | None = None
        self._cursor: apsw.Cursor | None = None
        self._log_pages = 0
        self._due_pages = CHECKPOINT_PAGES
        self._syncs = True
        self.log = -1
        self.log_begins = True
        self.in_doubt = writes
        self.doubts = 0

    @property
    def is_checkpoint_due(self) -> bool:
        """The log is so long that it is to be taken into the file."""
        return self._log_pages >= self._due_pages

    def open(self) -> apsw.Cursor:
        """The cursor that everything runs on.

        Raises:
            DatabaseUnavailable: The file cannot be opened.
        """
        if self._cursor is not None:
            return self._cursor
        with contextlib.ExitStack() as kept_shut:
            if self.in_doubt:  # what readers know of the log may be of what it has lost
                for reader in self._readers:
                    kept_shut.enter_context(reader.shut())
            try:
                connection = self._connection = connect(
                    self._path, self._clock_us, writes=self._writes, vfs=self._vfs, alone=self.in_doubt
                )
                if self._writes:
                    self.log = open_log(connection, self._path)
            except (apsw.Error, OSError) as error:
                self.close(trusted=False)
                raise DatabaseUnavailable(f"The database cannot be opened: {error}") from error
        connection.set_wal_hook(self._committed)
        self._cursor = connection.cursor()
        self._log_pages, self._due_pages = 0, CHECKPOINT_PAGES
        self.log_begins, self._syncs = True, True
        self.in_doubt = False  # the log was written over itself
        return self._cursor

    @contextlib.contextmanager
    def shut(self) -> Iterator[None]:
        """Keeps a reader closed, from when it has done what it does now; for the writer's thread."""
        with self._in_use:
            self.close()
            yield

    def close(self, *, trusted: bool = True) -> None:
        with self._in_use:
            connection, self._connection, self._cursor = self._connection, None, None
            log, self.log = self.log, -1
            if log >= 0:
                with contextlib.suppress(OSError):  # what it tells of a write, the sync before it has told
                    os.close(log)
            if connection is not None:
                close(connection, checkpoint=trusted and self._writes)

    def distrust(self) -> None:
        """Closes it after a sync that failed: what COMMIT has shown to readers may not be on the disk."""
        self.in_doubt = True
        self.doubts += 1
        self.close(trusted=False)

    def checkpoint(self) -> None:
        """Takes the log into the file; if that fails it is due again after the next transaction."""
        if self._connection is not None and self.is_checkpoint_due:
            self.log_begins = True
            with contextlib.suppress(apsw.Error):
                self._connection.wal_checkpoint()
                # As long as somebody reads what was before, the log goes on.
                self._due_pages = self._log_pages + CHECKPOINT_PAGES

    def _committed(self, _: apsw.Connection, __: str, log_pages: int) -> int:
        if log_pages < self._log_pages:  # it has begun anew
            self._due_pages = CHECKPOINT_PAGES
        self._log_pages, self.log_begins = log_pages, False
        return apsw.SQLITE_OK

    def run(self, work: Work[T]) -> T:
        """The whole transaction."""
        with self._in_use:
            cursor = self.open()
            result = self._work(cursor, work, syncs=True)
            if self._writes:
                self._commit(cursor)
            else:
                self._roll_back(cursor, None)
            return result

    def attempt(self, work: Work[T], *, syncs: bool) -> Callable[[], T] | None:
        """All of a transaction but its COMMIT, which is returned; None if something would have to be waited for.

        Args:
            work: Its body.
            syncs: COMMIT waits for the disk. Otherwise whoever calls it brings the log there before anyone is told.
        """
        cursor, connection = self._cursor, self._connection
        if cursor is None or connection is None:
            return None
        connection.set_busy_timeout(0)
        try:
            result = self._work(cursor, work, syncs=syncs)
        except LockTimeout:
            return None
        finally:
            if self._connection is connection:
                connection.set_busy_timeout(BUSY_TIMEOUT_MS)

        def commit() -> T:
            self._commit(cursor)
            return result

        return commit

    def _work(self, cursor: apsw.Cursor, work: Work[T], *, syncs: bool) -> T:
        transaction = SqliteTransaction(cursor)
        try:
            if self._writes and syncs is not self._syncs:
                cursor.execute("PRAGMA synchronous = FULL" if syncs else "PRAGMA synchronous = NORMAL")
                self._syncs = syncs
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

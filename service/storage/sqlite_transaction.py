"""Statements of a transaction on a SQLite connection, run where they are called; nothing in them waits for a loop."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar, cast

import apsw

from service.storage.database import Row, Value
from service.storage.errors import Conflict, DatabaseUnavailable, LockTimeout, StorageError, ValueRefused

T = TypeVar("T")

DISTRUSTED = (apsw.IOError, apsw.CantOpenError, apsw.CorruptError, apsw.NotADBError, apsw.ProtocolError)
"""After one of these the connection is closed: what it has in memory may not be what is in the file."""

_BY_KIND: tuple[tuple[tuple[type[Exception], ...], type[StorageError]], ...] = (
    ((apsw.ConstraintError,), Conflict),
    ((apsw.BusyError, apsw.LockedError), LockTimeout),
    ((*DISTRUSTED, apsw.FullError, apsw.NoMemError, apsw.PermissionsError, apsw.ReadOnlyError), DatabaseUnavailable),
    ((OverflowError, TypeError, ValueError, apsw.TooBigError), ValueRefused),
)


class SqliteTransaction:
    """A `Transaction` on a cursor, in the cursor's thread.

    Attributes:
        cause: The exception after which it cannot be committed any more.
    """

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self.cause: Exception | None = None

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        self.require_sound()
        try:
            _require_no_nul(values)
            return list(self._cursor.execute(sql, values))
        except Exception as error:
            self.cause = error
            raise storage_error(error) from error

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        self.require_sound()
        try:
            for values in rows:
                _require_no_nul(values)
            return list(self._cursor.executemany(sql, rows))
        except Exception as error:
            self.cause = error
            raise storage_error(error) from error

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        await self.fetch_each(sql, rows)

    def require_sound(self) -> None:
        """SQLite would go on after a statement that failed; PostgreSQL does not, so neither does this.

        Raises:
            StorageError: A statement has failed.
        """
        if self.cause is not None:
            raise storage_error(self.cause) from self.cause


def drive(work: Awaitable[T]) -> T:
    """Runs a coroutine that awaits nothing but a `SqliteTransaction` to its end.

    Raises:
        RuntimeError: It awaited something else.
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as ended:
        return cast("T", ended.value)
    steps.close()
    raise RuntimeError("The body of a transaction awaited something else than its transaction")


def storage_error(error: Exception) -> StorageError:
    """What an exception of apsw, or of Python while it binds values, means to the caller."""
    kind = next((kind for kinds, kind in _BY_KIND if isinstance(error, kinds)), StorageError)
    return kind(str(error))


def _require_no_nul(values: Sequence[Value]) -> None:
    """SQLite would take it, PostgreSQL does not."""
    for value in values:
        if type(value) is str and "\0" in value:
            raise ValueError("NUL in text")

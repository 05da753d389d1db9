"""Statements of a transaction on a SQLite connection, run where they are called; nothing in them waits for a loop."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar, cast

import apsw

from service.storage.database import Row, Value
from service.storage.errors import Conflict, DatabaseUnavailable, LockTimeout, StorageError, ValueRefused

T = TypeVar("T")

_UNAVAILABLE = (
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.ProtocolError,
    apsw.PermissionsError,
)


class SqliteTransaction:
    """A `Transaction` on a cursor in the cursor's thread.

    Attributes:
        failure: Why it cannot be committed any more.
    """

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self.failure: StorageError | None = None

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        self._require_sound()
        try:
            _require_no_nul(values)
            return self._cursor.execute(sql, values).fetchall()
        except Exception as error:
            raise self._failed(error) from error

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        self._require_sound()
        try:
            for values in rows:
                _require_no_nul(values)
            return self._cursor.executemany(sql, rows).fetchall()
        except Exception as error:
            raise self._failed(error) from error

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        await self.fetch_each(sql, rows)

    def _require_sound(self) -> None:
        """SQLite would go on after a statement that failed; PostgreSQL does not, so neither do we."""
        if self.failure is not None:
            raise self.failure

    def _failed(self, error: Exception) -> StorageError:
        self.failure = storage_error(error)
        return self.failure


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
    raise RuntimeError("The body of a transaction awaited something else than its transaction")


def storage_error(error: Exception) -> StorageError:
    """What an exception of apsw, or of Python while it binds values, means to the caller."""
    if isinstance(error, apsw.ConstraintError):
        return Conflict(str(error))
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return LockTimeout(str(error))
    if isinstance(error, _UNAVAILABLE):
        return DatabaseUnavailable(str(error))
    if isinstance(error, OverflowError | UnicodeEncodeError | TypeError | ValueError | apsw.TooBigError):
        return ValueRefused(str(error))
    return StorageError(str(error))


def _require_no_nul(values: Sequence[Value]) -> None:
    """SQLite would take it, PostgreSQL does not."""
    for value in values:
        if type(value) is str and "\0" in value:
            raise ValueError("NUL in text")

"""Statements of a transaction on an asyncpg connection, and what its errors mean."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from service.storage.database import Row, Value
from service.storage.errors import Conflict, DatabaseUnavailable, LockTimeout, StorageError, ValueRefused

# By SQLSTATE, the longest prefix first. A statement that times out (57014) is no lock: that would have timed out
# before, as 55P03; it is a server too slow to go on with.
_BY_STATE: tuple[tuple[str, type[StorageError]], ...] = (
    ("55P03", LockTimeout),
    ("40001", LockTimeout),
    ("40P01", LockTimeout),
    ("25P03", DatabaseUnavailable),  # idle in transaction for too long
    ("25006", DatabaseUnavailable),  # read-only: what was the primary is none any more
    ("0A000", DatabaseUnavailable),  # a plan of before a migration; the next connection has none
    ("08", DatabaseUnavailable),  # connection
    ("22", ValueRefused),  # data
    ("23", Conflict),  # constraint
    ("53", DatabaseUnavailable),  # disk, memory, connections
    ("57", DatabaseUnavailable),  # shutdown, cancelled
    ("58", DatabaseUnavailable),  # I/O
    ("XX", DatabaseUnavailable),  # corrupted
)


class PostgresTransaction:
    """A `Transaction` on a connection.

    Attributes:
        failure: Why it cannot be committed any more.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.failure: StorageError | None = None

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        self._require_sound()
        try:
            return [tuple(record) for record in await self._connection.fetch(sql, *values)]
        except Exception as error:
            raise self._failed(error) from error

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        self._require_sound()
        try:
            return [tuple(record) for record in await self._connection.fetchmany(sql, rows)]
        except Exception as error:
            raise self._failed(error) from error

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._require_sound()
        try:
            await self._connection.executemany(sql, rows)
        except Exception as error:
            raise self._failed(error) from error

    def _require_sound(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _failed(self, error: Exception) -> StorageError:
        self.failure = storage_error(error)
        return self.failure


def storage_error(error: Exception) -> StorageError:
    """What an exception of asyncpg means to the caller, if it came before COMMIT was sent."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        kind = next((kind for prefix, kind in _BY_STATE if state.startswith(prefix)), StorageError)
        return kind(f"{error} ({state})")
    if isinstance(error, asyncpg.DataError | UnicodeEncodeError | OverflowError):
        return ValueRefused(str(error))
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return DatabaseUnavailable(str(error) or type(error).__name__)
    return StorageError(str(error))

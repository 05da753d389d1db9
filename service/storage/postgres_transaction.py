"""A transaction on an asyncpg connection, from BEGIN to COMMIT, and what its errors mean."""

from collections.abc import Sequence
from typing import Any, TypeVar

import asyncpg

from service.storage.database import Row, Script, Value, Work
from service.storage.errors import (
    CommitUncertain,
    Conflict,
    DatabaseUnavailable,
    LockTimeout,
    StorageError,
    Unforeseen,
    ValueRefused,
)
from service.storage.postgres_connection import ASYNCPG_ERRORS, STATEMENT_TIMEOUT_S, Link
from service.storage.postgres_script import UNFORESEEN
from service.storage.postgres_sums import with_whole_sums
from service.storage.steps import work_of

T = TypeVar("T")

_SET_TIMEOUTS = "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)"
# By SQLSTATE. A statement that times out (57014) has not met a lock, which would have timed out before it, as 55P03:
# it has met a server too slow to go on with.
_BY_STATE: tuple[tuple[tuple[str, ...], type[StorageError]], ...] = (
    (("55P03", "40001", "40P01"), LockTimeout),
    (("25P03", "25P04", "25006"), DatabaseUnavailable),  # idle or too long in a transaction; a primary no longer
    (("0A000",), DatabaseUnavailable),  # a plan of before a migration: the next connection has none
    (("08", "53", "57", "58", "XX"), DatabaseUnavailable),  # connection, space, shutdown, I/O, corruption
    ((UNFORESEEN,), Unforeseen),
    (("22",), ValueRefused),
    (("23",), Conflict),
)


class PostgresTransaction:
    """A `Transaction` on a connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection = link.connection
        self._cause: Exception | None = None

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        self._require_sound()
        understood = with_whole_sums(sql)
        try:
            return [tuple(record) for record in await self._connection.fetch(understood, *values)]
        except Exception as error:
            raise self._failed(error) from error

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        if len(rows) == 1:  # a quarter cheaper
            return await self.fetch(sql, *rows[0])
        self._require_sound()
        try:
            return [tuple(record) for record in await self._connection.fetchmany(sql, rows)]
        except Exception as error:
            raise self._failed(error) from error

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        if len(rows) == 1:
            await self.fetch(sql, *rows[0])
            return
        self._require_sound()
        try:
            await self._connection.executemany(sql, rows)
        except Exception as error:
            raise self._failed(error) from error

    async def run(self, work: Work[T], lock_timeout_s: float | None = None) -> T:
        """The whole transaction.

        Raises:
            StorageError: One of its subclasses says what is left behind.
        """
        try:
            await self._begin(lock_timeout_s)
            result = await work(self)
            self._require_sound()
        except Exception:
            await self._roll_back()
            raise
        await self._commit()
        return result

    async def _begin(self, lock_timeout_s: float | None) -> None:
        try:
            await self._connection.execute("BEGIN")
        except ASYNCPG_ERRORS as error:
            raise self._failed(error) from error
        if lock_timeout_s is not None:
            lock_ms, statement_ms = round(lock_timeout_s * 1000), round((lock_timeout_s + STATEMENT_TIMEOUT_S) * 1000)
            await self.fetch(_SET_TIMEOUTS, str(lock_ms), str(statement_ms))

    async def _commit(self) -> None:
        if self._connection.is_closed():  # nothing was sent
            raise DatabaseUnavailable("The connection was lost before COMMIT")
        self._link.notices.clear()
        try:
            answer = await self._connection.execute("COMMIT")
        except asyncpg.IntegrityConstraintViolationError as error:
            raise self._failed(error) from error
        except Exception as error:
            self._connection.terminate()
            raise CommitUncertain(f"COMMIT was not answered: {error}") from error
        if answer != "COMMIT":
            raise DatabaseUnavailable(f"COMMIT was answered with {answer}")
        _require_no_notice(self._link)

    async def _roll_back(self) -> None:
        """Undoes what was done; hanging up does it as well, where the connection is lost or answers with an error."""
        if self._connection.is_closed():
            return
        try:
            await self._connection.execute("ROLLBACK")
        except ASYNCPG_ERRORS:
            self._connection.terminate()

    def _require_sound(self) -> None:
        """PostgreSQL answers COMMIT with ROLLBACK after a statement that failed, and calls it no error."""
        if self._cause is not None:
            raise self._failed(self._cause) from self._cause

    def _failed(self, error: Exception) -> StorageError:
        self._cause = error
        return _before_commit(self._connection, error)


def _before_commit(connection: Any, error: Exception) -> StorageError:
    if connection.is_closed():
        return DatabaseUnavailable(f"The connection was lost: {error}")
    return storage_error(error)


def _require_no_notice(link: Link) -> None:
    """An operator can cut short the wait for the standby, which PostgreSQL calls a success."""
    if link.notices:
        raise CommitUncertain(f"COMMIT was answered with a warning: {link.notices[0]}")


async def run_script(link: Link, script: Script[T]) -> T:
    """Runs a script, which is a transaction by itself.

    Raises:
        StorageError: One of its subclasses says what is left behind.
    """
    connection = link.connection
    try:
        await link.scripts.learn(script.steps)
    except ASYNCPG_ERRORS as error:
        raise _before_commit(connection, error) from error
    if not link.scripts.is_there:
        return await PostgresTransaction(link).run(work_of(script))
    link.notices.clear()
    try:
        numbers = await link.scripts.call(script.steps)
    except Exception as error:
        # What the server calls an error, and goes on, it has undone; what is not encoded was not sent.
        sent_back = isinstance(error, asyncpg.PostgresError) and error.severity_en == "ERROR"
        if connection.is_closed() or not (sent_back or isinstance(error, ValueError)):
            connection.terminate()
            raise CommitUncertain(f"The script was not answered: {error}") from error
        raise storage_error(error) from error
    _require_no_notice(link)
    return script.result(numbers)


def storage_error(error: Exception) -> StorageError:
    """What an exception of asyncpg means to the caller, if it came before COMMIT was sent."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        kind = next((kind for prefixes, kind in _BY_STATE if state.startswith(prefixes)), StorageError)
        return kind(f"{error} ({state})")
    if isinstance(error, ValueError):  # asyncpg's own, while it encodes
        return ValueRefused(str(error))
    if isinstance(error, OSError | asyncpg.InternalClientError):
        return DatabaseUnavailable(f"{type(error).__name__} {error}".rstrip())
    return StorageError(str(error))

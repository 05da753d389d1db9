"""PostgreSQL: one writer connection, readers beside it, each opened when it is needed.

A transaction that was asked for runs in the writer's own task, so that no caller who leaves can cut it in two.
Nothing is tried twice here: who asks again opens a lost connection anew.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import asyncpg

from service.storage.database import Transaction, Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.postgres_connection import LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S, connect, connect_writer
from service.storage.postgres_transaction import PostgresTransaction, storage_error

T = TypeVar("T")
_Job: TypeAlias = "tuple[Work[Any], float | None, asyncio.Future[Any]]"

_READERS_MAX = 2
_WRITE_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 120.0
_OWN_READ_TIMEOUT_S = 24 * 3600.0
"""For a process that only reads: it verifies or exports everything there is, in one snapshot."""
_SET_LOCK_TIMEOUT = (
    "SELECT set_config('lock_timeout', CAST($1 AS TEXT), true), set_config('statement_timeout', CAST($2 AS TEXT), true)"
)


class PostgresDatabase:
    """A `Database` on a server.

    Args:
        url: As asyncpg takes it.
        password: The role's, if not in the URL.
        read_only: Opens no writer, and does not ask whether the server may be written to.
    """

    engine: Literal["postgres"] = "postgres"

    def __init__(self, url: str, password: str | None = None, *, read_only: bool = False) -> None:
        self._url, self._password, self._read_only = url, password, read_only
        self.warnings: Sequence[str] = ()
        self._writer: Any = None
        self._readers: list[Any] = []
        self._reading = asyncio.Semaphore(_READERS_MAX)
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connects, and looks at the server.

        Raises:
            DatabaseUnavailable: It cannot be reached, or must not keep the books.
        """
        if self._read_only:
            self._readers.append(await connect(self._url, self._password, writes=False))
        else:
            await self._open_writer()
        self._task = asyncio.create_task(self._write())

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        self._require_open()
        if self._read_only:
            raise DatabaseUnavailable("The database is open for reading only")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((work, lock_timeout_s, done))
        return await done

    async def read(self, work: Work[T]) -> T:
        async with self._reading:
            self._require_open()
            if self._readers:
                connection = self._readers.pop()
            else:
                connection = await connect(self._url, self._password, writes=False)
            limit_s = _OWN_READ_TIMEOUT_S if self._read_only else _READ_TIMEOUT_S
            watch = asyncio.get_running_loop().call_later(limit_s, connection.terminate)
            try:
                return await _run(connection, work, None)
            except BaseException as error:
                if not isinstance(error, Exception):  # cancelled, perhaps in the middle of a statement
                    connection.terminate()
                raise
            finally:
                watch.cancel()
                if not connection.is_closed():
                    self._readers.append(connection)

    async def now_us(self) -> int:
        async def ask(transaction: Transaction) -> int:
            ((now_us,),) = await transaction.fetch("SELECT clock_us()")
            return int(now_us)

        return await self.read(ask)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._task is not None:
            self._jobs.put_nowait(None)
            await self._task
        for _ in range(_READERS_MAX):  # each reader's turn, so that nobody reads any more
            await self._reading.acquire()
        for connection in (*self._readers, self._writer):
            if connection is not None:
                await _close(connection)

    def _require_open(self) -> None:
        if self._closed:
            raise DatabaseUnavailable("The database is closed")

    async def _open_writer(self) -> Any:
        if self._writer is None or self._writer.is_closed():
            self._writer, self.warnings = await connect_writer(self._url, self._password)
        return self._writer

    async def _write(self) -> None:
        """The writer's task: one transaction after the other."""
        while (job := await self._jobs.get()) is not None:
            work, lock_timeout_s, done = job
            try:
                result = await self._transact(work, lock_timeout_s)
            except BaseException as error:
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)
            del job, work, done

    async def _transact(self, work: Work[T], lock_timeout_s: float | None) -> T:
        connection = await self._open_writer()
        limit_s = _WRITE_TIMEOUT_S + (lock_timeout_s or LOCK_TIMEOUT_S)
        watch = asyncio.get_running_loop().call_later(limit_s, connection.terminate)
        try:
            return await _run(connection, work, lock_timeout_s)
        finally:
            watch.cancel()


async def _run(connection: Any, work: Work[T], lock_timeout_s: float | None) -> T:
    """The whole transaction."""
    transaction = PostgresTransaction(connection)
    try:
        await connection.execute("BEGIN")
        if lock_timeout_s is not None:
            milliseconds = round(lock_timeout_s * 1000)
            await transaction.fetch(
                _SET_LOCK_TIMEOUT, str(milliseconds), str(milliseconds + round(STATEMENT_TIMEOUT_S * 1000))
            )
        result = await work(transaction)
        if transaction.failure is not None:
            raise transaction.failure
    except Exception as error:
        await _roll_back(connection)
        if isinstance(error, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
            raise storage_error(error) from error
        raise
    await _commit(connection)
    return result


async def _commit(connection: Any) -> None:
    try:
        status = await connection.execute("COMMIT")
    except asyncpg.IntegrityConstraintViolationError as error:
        raise storage_error(error) from error
    except Exception as error:
        connection.terminate()
        raise CommitUncertain(f"COMMIT was not answered: {type(error).__name__} {error}") from error
    if status != "COMMIT":  # the server had given the transaction up, and says so by the word ROLLBACK
        raise DatabaseUnavailable(f"The transaction was answered with {status}")


async def _roll_back(connection: Any) -> None:
    """Undoes what was done; a connection that cannot is cut, which does it as well."""
    if connection.is_closed():
        return
    try:
        await connection.execute("ROLLBACK")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=1)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        with contextlib.suppress(Exception):
            connection.terminate()

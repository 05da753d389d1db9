"""PostgreSQL: one writer connection, readers beside it.

A transaction that was asked for runs in the writer's own task, so that no caller who leaves can cut it in two.
Nothing is tried twice here: whoever asks again has a lost connection opened anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from service.storage.database import Script, Transaction, Work
from service.storage.errors import DatabaseUnavailable
from service.storage.postgres_connection import LOCK_TIMEOUT_S, Link, connect_writer
from service.storage.postgres_readers import Readers
from service.storage.postgres_transaction import PostgresTransaction, run_script

T = TypeVar("T")
_Job: TypeAlias = "tuple[Callable[[Link], Awaitable[Any]], float, asyncio.Future[Any]]"

READERS_MAX = 2
WRITE_TIMEOUT_S = 5.0
"""A transaction that takes longer has met a server that hangs: its connection is cut. Locks are waited for on top."""
READ_TIMEOUT_S = 120.0
LONG_READ_TIMEOUT_S = 24 * 3600.0
"""In a process that only reads: it verifies or exports all there is, in one snapshot."""


class PostgresDatabase:
    """A `Database` on a server.

    Args:
        url: As asyncpg takes it.
        password: The role's, if not in the URL.
        read_only: Opens no writer, and does not ask whether the server may be written to.
        write_timeout_s: How long a transaction may take, without its waiting for locks.
    """

    engine: Literal["postgres"] = "postgres"

    def __init__(
        self,
        url: str,
        password: str | None = None,
        *,
        read_only: bool = False,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._url, self._password, self._read_only = url, password, read_only
        self._write_timeout_s = write_timeout_s
        self.warnings: Sequence[str] = ()
        self._writer: Link | None = None
        limit_s = LONG_READ_TIMEOUT_S if read_only else READ_TIMEOUT_S
        self._readers = Readers(url, password, READERS_MAX, limit_s)
        self._glancers = Readers(url, password, 1, limit_s)
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connects, and looks at the server.

        Raises:
            DatabaseUnavailable: It cannot be reached, or must not keep the books.
        """
        if self._read_only:
            await self._readers.open()
        else:
            await self._connected_writer()
            self._task = asyncio.create_task(self._write())

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        return await self._on_writer(lambda link: PostgresTransaction(link).run(work, lock_timeout_s), lock_timeout_s)

    async def run(self, script: Script[T]) -> T:
        return await self._on_writer(lambda link: run_script(link, script))

    async def _on_writer(self, job: Callable[[Link], Awaitable[T]], lock_timeout_s: float | None = None) -> T:
        self._require_open()
        if self._task is None:
            raise DatabaseUnavailable("The database is open for reading only")
        if self._task.done():  # cancelled with its loop
            raise DatabaseUnavailable("The database is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        limit_s = self._write_timeout_s + (LOCK_TIMEOUT_S if lock_timeout_s is None else lock_timeout_s)
        self._jobs.put_nowait((job, limit_s, done))
        return await done

    async def read(self, work: Work[T]) -> T:
        return await self._readers.read(work)

    async def glance(self, work: Work[T]) -> T:
        return await self._glancers.read(work)

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
        await asyncio.gather(self._readers.close(), self._glancers.close())
        if self._task is not None:
            await self._task
        if self._writer is not None:
            await self._writer.close()

    def _require_open(self) -> None:
        if self._closed:
            raise DatabaseUnavailable("The database is closed")

    async def _connected_writer(self) -> Link:
        if self._writer is None or self._writer.connection.is_closed():
            self._writer, self.warnings = await connect_writer(self._url, self._password)
        return self._writer

    async def _write(self) -> None:
        """The writer's task: one transaction after the other."""
        while (entry := await self._jobs.get()) is not None:
            job, limit_s, done = entry
            try:
                result = await self._within(limit_s, job)
            except BaseException as error:
                if not done.cancelled():
                    done.set_exception(error)
                if self._task is None or self._task.cancelling():
                    raise
            else:
                if not done.cancelled():
                    done.set_result(result)
            del entry, job, done  # the task waits long for the next one

    async def _within(self, limit_s: float, job: Callable[[Link], Awaitable[T]]) -> T:
        link = await self._connected_writer()
        watch = asyncio.get_running_loop().call_later(limit_s, link.connection.terminate)
        try:
            return await job(link)
        except asyncio.CancelledError:  # perhaps in the middle of a statement
            link.connection.terminate()
            raise
        finally:
            watch.cancel()

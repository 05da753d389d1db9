"""PostgreSQL's connections for reading: each opened when it is needed, and kept for the next reader."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from service.storage.database import Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.postgres_connection import Link, connect_reader
from service.storage.postgres_transaction import PostgresTransaction

T = TypeVar("T")

CLOSE_TIMEOUT_S = 5.0
"""Reads that take longer when the database is closed are cut off."""


class Readers:
    """So many reads at once; further ones wait for their turn.

    Args:
        url: As asyncpg takes it.
        password: The role's, if not in the URL.
        links_max: How many connections there are at most.
        limit_s: A read that takes longer has met a server that hangs: its connection is cut.
    """

    def __init__(self, url: str, password: str | None, links_max: int, limit_s: float) -> None:
        self._url, self._password = url, password
        self._links_max, self._limit_s = links_max, limit_s
        self._idle: list[Link] = []
        self._at_work: set[Link] = set()
        self._turns = asyncio.Semaphore(links_max)
        self._closed = False

    async def open(self) -> None:
        """Connects before the first read does.

        Raises:
            DatabaseUnavailable: The server cannot be reached.
        """
        self._idle.append(await connect_reader(self._url, self._password))

    async def read(self, work: Work[T]) -> T:
        """Runs *work* on a snapshot, in its turn.

        Raises:
            DatabaseUnavailable: The database cannot be read now.
            StorageError: A statement that it refuses.
        """
        async with self._link() as link:
            watch = asyncio.get_running_loop().call_later(self._limit_s, link.connection.terminate)
            try:
                return await PostgresTransaction(link).run(work)
            except CommitUncertain as error:  # there was nothing to commit
                raise DatabaseUnavailable(str(error)) from error
            finally:
                watch.cancel()

    async def close(self) -> None:
        """Waits for the reads under way, then closes every connection; later reads are DatabaseUnavailable."""
        self._closed = True
        cutting = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._cut_off)
        for _ in range(self._links_max):  # each reader's turn, so that nobody reads any more
            await self._turns.acquire()
        cutting.cancel()
        for link in self._idle:
            await link.close()

    def _cut_off(self) -> None:
        for link in self._at_work:
            link.connection.terminate()

    def _require_open(self) -> None:
        if self._closed:
            raise DatabaseUnavailable("The database is closed")

    @contextlib.asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        """A connection, which comes back unless it was lost or its reader was cancelled."""
        self._require_open()
        async with self._turns:
            self._require_open()
            link = self._idle_link() or await connect_reader(self._url, self._password)
            self._at_work.add(link)
            try:
                yield link
            except asyncio.CancelledError:  # perhaps in the middle of a statement
                link.connection.terminate()
                raise
            finally:
                self._at_work.remove(link)
                if not link.connection.is_closed():
                    self._idle.append(link)

    def _idle_link(self) -> Link | None:
        """A connection of an earlier reader, unless the server has closed it meanwhile."""
        while self._idle:
            link = self._idle.pop()
            if not link.connection.is_closed():
                return link
        return None

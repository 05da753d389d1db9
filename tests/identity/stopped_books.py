"""Books whose database has a clock that stands still, on an event loop of their own."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.storage.database import Database
from service.storage.migrate import migrate
from service.storage.postgres import PostgresDatabase
from service.storage.sqlite import SqliteDatabase

START_US = 1_795_039_000_000_000
_CLOCK = """
CREATE TABLE test_clock (now_us BIGINT NOT NULL);
INSERT INTO test_clock VALUES (0);
CREATE OR REPLACE FUNCTION clock_us() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE
AS 'SELECT now_us FROM test_clock'"""

T = TypeVar("T")


class StoppedBooks:
    """Books on SQLite, or on PostgreSQL where a URL is given.

    Args:
        folder: Where a SQLite file goes.
        postgres_url: A migrated, empty database.
    """

    def __init__(self, folder: Path, postgres_url: str | None) -> None:
        self._runner = asyncio.Runner()
        self._postgres: asyncpg.Connection | None = None
        self.now_us = START_US
        self.books = self.run(self._open(folder, postgres_url))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def pass_time(self, by_us: int) -> None:
        self.now_us += by_us
        self.run(self._set_clock())

    def begin_anew(self) -> None:
        """Puts the clock back: after some centuries a float of seconds has no room for microseconds any more."""
        self.now_us = START_US
        self.run(self._set_clock())

    def close(self) -> None:
        async def closed() -> None:
            assert await self._committer.close(5.0) == 0
            await self._database.close()
            if self._postgres is not None:
                await self._postgres.close()

        self.run(closed())
        self._runner.close()

    async def _open(self, folder: Path, postgres_url: str | None) -> Books:
        self._database: Database
        if postgres_url is None:
            sqlite = SqliteDatabase(folder / "books.db", clock_us=lambda: self.now_us)
            await sqlite.open()
            self._database = sqlite
        else:
            self._postgres = await asyncpg.connect(postgres_url)
            await self._postgres.execute(_CLOCK)
            postgres = PostgresDatabase(postgres_url)
            await postgres.open()
            self._database = postgres
        await migrate(self._database)
        await self._set_clock()
        self._committer = Committer(self._database, DatabaseClock(self.now_us), lambda _: None)
        return Books(self._database, self._committer)

    async def _set_clock(self) -> None:
        if self._postgres is not None:
            await self._postgres.execute("UPDATE test_clock SET now_us = $1", self.now_us)

"""What a reader of the books is told when the database hangs."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from service.books import books
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.errors import BooksUnavailable
from service.storage.database import Script, T, Transaction, Work


class Hangs:
    """A database that answers nothing, and tells who stopped waiting."""

    engine: Literal["postgres"] = "postgres"
    warnings: Sequence[str] = ()
    given_up = False

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        raise NotImplementedError

    async def run(self, script: Script[T]) -> T:
        raise NotImplementedError

    async def read(self, work: Work[T]) -> T:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        return await work(None)  # type: ignore[arg-type]

    async def glance(self, work: Work[T]) -> T:
        return await self.read(work)

    async def now_us(self) -> int:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


async def nothing(_: Transaction) -> None:
    """Reads nothing."""


async def test_a_report_does_not_wait_long_for_a_database_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "READ_WAIT_S", 0.01)
    database = Hangs()
    reading = Books(database, Committer(database, DatabaseClock(0), lambda _: None)).read(nothing)

    with pytest.raises(BooksUnavailable):
        await asyncio.wait_for(reading, 5.0)
    assert database.given_up

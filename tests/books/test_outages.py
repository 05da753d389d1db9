"""What waits behind a commit that a failing database takes its time to refuse."""

import asyncio
from typing import cast

import pytest

from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import Settled
from service.books.errors import BooksUnavailable
from service.storage.database import Database, Script, T, Work
from service.storage.errors import DatabaseUnavailable
from service.storage.steps import work_of
from tests.books.making import admission, note, settlement


class Hanging:
    """A database that hangs as long as it is away, and fails at the end of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False
        self.was_asked, self.fails = asyncio.Event(), asyncio.Event()

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        if self.is_away:
            self.was_asked.set()
            await self.fails.wait()
            raise DatabaseUnavailable("it hung")
        return await self._database.transact(work, lock_timeout_s=lock_timeout_s)

    async def run(self, script: Script[T]) -> T:
        return await self.transact(work_of(script))


async def test_what_waits_behind_a_commit_that_fails_is_refused_with_it_and_what_has_ended_is_kept(
    sqlite_database: Database,
) -> None:
    database = Hanging(sqlite_database)
    clock = DatabaseClock(await sqlite_database.now_us())
    committer = Committer(cast("Database", database), clock, told=lambda _: None)
    running = admission()
    admitted = await committer.submit(running)

    database.is_away = True
    first = committer.submit(admission())
    await database.was_asked.wait()
    waiting = [committer.submit(admission()), committer.submit(note())]
    ended = committer.submit(settlement(running, admitted, 5))
    database.fails.set()
    for done in (first, *waiting):
        with pytest.raises(BooksUnavailable):
            await asyncio.wait_for(done, 5.0)
    database.is_away = False

    assert await ended == Settled(5)

"""What the committer does when the service stops."""

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import Settled
from service.storage.database import Database, Script, T, Work
from service.storage.errors import DatabaseUnavailable
from service.storage.steps import work_of
from tests.books.making import admission, settlement


class FailsOnce:
    """A database that is away for one transaction, and tells so only after a while."""

    engine: Literal["sqlite"] = "sqlite"
    warnings: Sequence[str] = ()

    def __init__(self, database: Database) -> None:
        self._database = database
        self.was_asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        if not self.was_asked.is_set():
            self.was_asked.set()
            await self.answers.wait()
            raise DatabaseUnavailable("it was away")
        return await self._database.transact(work, lock_timeout_s=lock_timeout_s)

    async def run(self, script: Script[T]) -> T:
        return await self.transact(work_of(script))

    async def read(self, work: Work[T]) -> T:
        return await self._database.read(work)

    async def glance(self, work: Work[T]) -> T:
        return await self._database.glance(work)

    async def now_us(self) -> int:
        return await self._database.now_us()

    async def close(self) -> None:
        await self._database.close()


async def test_a_stop_waits_for_the_batch_that_is_being_written(sqlite_database: Database) -> None:
    admitting = admission()
    admitted = await committer_on(sqlite_database).submit(admitting)
    database = FailsOnce(sqlite_database)
    committer = committer_on(database)
    settled = committer.submit(settlement(admitting, admitted, 5))
    await database.was_asked.wait()

    closing = asyncio.create_task(committer.close(10.0))
    await asyncio.sleep(0)
    database.answers.set()

    assert await closing == 0
    assert settled.result() == Settled(5)


async def test_a_stop_counts_the_batch_that_it_gives_up(sqlite_database: Database) -> None:
    admitting = admission()
    admitted = await committer_on(sqlite_database).submit(admitting)
    database = FailsOnce(sqlite_database)
    committer = committer_on(database)
    committer.submit(settlement(admitting, admitted, 5))
    await database.was_asked.wait()

    assert await committer.close(0.0) == 1


def committer_on(database: Database) -> Committer:
    return Committer(database, DatabaseClock(time.time_ns() // 1000), told=lambda _: None)

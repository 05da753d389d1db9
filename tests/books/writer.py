"""Writes entries as a committer does, without its queue: one transaction at a time, and each tells its end."""

from typing import Any

from service.books.batch import Written, write_batch
from service.books.entries import Entry
from service.books.period import Period
from service.books.trail import Pen, fresh_pen
from service.storage.database import Database, Transaction


class Writer:
    """One replica's transactions.

    Attributes:
        pen: Where its chain ends.
        periods: The day that it found each budget in.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.pen: Pen = fresh_pen()
        self.periods: dict[str, Period] = {}

    async def write(self, *entries: Entry) -> list[Any]:
        """What each entry's waiter is told: a result, or the exception that refuses it."""
        now_us = await self.database.now_us()

        async def work(tx: Transaction) -> Written:
            return await write_batch(self.through(tx), entries, self.pen, self.periods, now_us)

        written = await self.database.transact(work)
        self.pen, self.periods = written.pen, written.periods
        results = dict(written.results)
        return [results[entry] for entry in entries]

    async def one(self, entry: Entry) -> Any:
        """The same for one entry."""
        return (await self.write(entry))[0]

    def through(self, tx: Transaction) -> Transaction:
        """What the statements pass through."""
        return tx

"""Writes batches: as a script where all is foreseen, else by looking at each step."""

import contextlib
from collections.abc import Mapping, Sequence

from service.books.batch import Written, write_batch
from service.books.entries import Entry
from service.books.errors import BooksError
from service.books.foreseen import foresee
from service.books.period import Period
from service.books.trail import Pen
from service.storage.database import Database, Transaction
from service.storage.errors import Unforeseen


class BatchWriter:
    """Remembers which budgets did not bear what was asked of them: for those a script would be tried in vain.

    Args:
        database: Where to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tight: set[str] = set()

    async def write(
        self,
        entries: Sequence[Entry],
        pen: Pen,
        periods: Mapping[str, Period],
        now_us: int,
        lock_timeout_s: float | None = None,
    ) -> Written:
        """Writes *entries* in one transaction; see `write_batch`, and `Database.transact` for *lock_timeout_s*."""
        if lock_timeout_s is None and not any(entry.team in self._tight for entry in entries):
            script = foresee(entries, pen, periods, now_us)
            if script is not None:
                with contextlib.suppress(Unforeseen):
                    return await self._database.run(script)

        async def work(tx: Transaction) -> Written:
            return await write_batch(tx, entries, pen, periods, now_us)

        written = await self._database.transact(work, lock_timeout_s=lock_timeout_s)
        self._tight.difference_update(entry.team for entry in entries)
        self._tight.update(entry.team for entry, result in written.results if isinstance(result, BooksError))
        return written

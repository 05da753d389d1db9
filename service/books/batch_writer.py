"""Writes batches: as a script where all is foreseen, else by looking at each step."""

import contextlib
from collections.abc import Sequence

from service.books.batch import Written, write_batch
from service.books.entries import Entry
from service.books.errors import BooksError
from service.books.foreseen import foresee
from service.books.period import Period
from service.books.trail import Pen, fresh_pen
from service.storage.database import Database, Script, Transaction
from service.storage.errors import Unforeseen, WouldWait


class BatchWriter:
    """Remembers which budgets did not bear what was asked of them: for those a script would be tried in vain.

    Args:
        database: Where to.

    Attributes:
        pen: Where its chain ends.
        periods: The period in force of each budget, as far as it is known.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tight: set[str] = set()
        self.pen: Pen = fresh_pen()
        self.periods: dict[str, Period] = {}

    async def write(self, entries: Sequence[Entry], now_us: int, lock_timeout_s: float | None = None) -> Written:
        """Writes *entries* in one transaction; see `write_batch`, and `Database.transact` for *lock_timeout_s*."""
        script = self._script(entries, now_us) if lock_timeout_s is None else None
        if script is not None:
            with contextlib.suppress(Unforeseen):
                return self._after(await self._database.run(script))

        async def work(tx: Transaction) -> Written:
            return await write_batch(tx, entries, self.pen, self.periods, now_us)

        written = await self._database.transact(work, lock_timeout_s=lock_timeout_s)
        self._tight.difference_update(entry.team for entry in entries)
        self._tight.update(entry.team for entry, result in written.results if isinstance(result, BooksError))
        return self._after(written)

    def write_at_once(self, entries: Sequence[Entry], now_us: int) -> Written:
        """Writes *entries* before it returns.

        Raises:
            WouldWait: That takes a `write`; nothing has happened.
            StorageError: As of `Database.run_at_once`.
        """
        script = self._script(entries, now_us) if self._database.is_prompt else None
        if script is None:
            raise WouldWait("The database is to be waited for, or something to be looked at")
        return self._after(self._database.run_at_once(script))

    def _script(self, entries: Sequence[Entry], now_us: int) -> Script[Written] | None:
        if any(entry.team in self._tight for entry in entries):
            return None
        return foresee(entries, self.pen, self.periods, now_us)

    def _after(self, written: Written) -> Written:
        self.pen, self.periods = written.pen, written.periods
        return written

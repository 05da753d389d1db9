"""The books as the rest of the service sees them: admit, settle, record; and the operators' changes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time
from time import perf_counter
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from service.books import operations
from service.books.committer import Committer
from service.books.entries import Admission, Admitted, Entry, Note, Settled, Settlement, Work
from service.books.errors import BooksUnavailable
from service.books.operations import Held, Operator
from service.books.period import Period, period_at
from service.storage.database import Database, Script, Transaction
from service.storage.errors import StorageError

ANSWER_WAIT_S = 5.0
"""How long an answer is withheld for its record; the record is kept until it is durable all the same."""
READ_WAIT_S = 10.0
"""How long a report may take; one that takes longer has met a database that hangs."""
GLANCE_WAIT_S = 1.0
"""How long a glance may take."""

T = TypeVar("T")


class Books:
    """One service's books.

    Args:
        database: Where they are kept.
        committer: Their only writer in this process.
        waited: Told for how many seconds a call waited to `admit`, `settle` or `record`.
    """

    def __init__(
        self, database: Database, committer: Committer, waited: Callable[[str, float], object] = lambda *_: None
    ) -> None:
        self._database = database
        self._committer = committer
        self._waited = waited
        self.has_room = True
        """The disk has room for what is new; what was begun is written all the same."""

    async def admit(self, admission: Admission, after: Settlement | None = None) -> Admitted:
        """Makes a hold and its intent durable; only then may anything be sent.

        Args:
            admission: What may be spent, and by whom.
            after: The end of the attempt before, if there was one: both share a transaction, and it counts first.

        Raises:
            BooksError: The budget does not bear it, the team is frozen, or the database does not answer.
        """
        if after is not None:
            self._committer.submit(after)
        if not self.has_room:
            raise BooksUnavailable("the disk is nearly full", admission.team)
        started_s = perf_counter()
        done = self._committer.submit(admission)
        try:
            admitted: Admitted = await done
        except asyncio.CancelledError:
            # In one turn of the loop the commit may have been told and its waiter cancelled. Else the committer sees
            # that nobody waits, and voids what it commits.
            if not done.cancelled() and done.exception() is None:
                self._committer.submit(admission.voided(done.result()))
            raise
        self._waited("admit", perf_counter() - started_s)
        return admitted

    async def settle(self, settlement: Settlement) -> Settled:
        """Makes the end of an attempt durable; only then may its answer leave.

        Raises:
            BooksUnavailable: It is not durable yet, after `ANSWER_WAIT_S`. It is kept until it is.
        """
        settled: Settled = await self._within("settle", settlement)
        return settled

    async def record(self, note: Note) -> None:
        """Makes a record durable; only then may the answer leave that it stands for.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        await self._within("record", note)

    def submit(self, entry: Entry) -> None:
        """Writes an entry that nobody waits for."""
        self._committer.submit(entry).add_done_callback(_ignore)

    async def adjust(
        self, budget_id: str, zone: ZoneInfo, amount_nanos: int, request_id: str, by: Operator, day: date | None = None
    ) -> Held:
        """Charges a budget, or gives back to it; see `operations.adjustment`. *day* is one of the budget's days."""
        period = None if day is None else await self._day_of(budget_id, zone, day)
        work = operations.adjustment(budget_id, zone, amount_nanos, request_id, by, period)
        held: Held = await self.change(work)
        return held

    async def set_frozen(self, budget_id: str, zone: ZoneInfo, by: Operator, *, frozen: bool) -> Held:
        """Stops a team's spending, or lets it go on; see `operations.freeze`."""
        held: Held = await self.change(operations.freeze(budget_id, zone, by, frozen=frozen))
        return held

    async def change(self, work: Work) -> Any:
        """Makes a change of its own kind durable, with its notice; what *work* gives.

        Raises:
            BooksError: What *work* refuses, or the database does not answer.
        """
        return await self._committer.submit(work)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Reads a snapshot, beside whatever is being written.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        return await _answer(self._database.read(work), READ_WAIT_S)

    async def glance(self, work: Callable[[Transaction], Awaitable[T]], wait_s: float = GLANCE_WAIT_S) -> T:
        """Reads what is little and must not be late: no `read` keeps it waiting.

        Args:
            work: Only reads.
            wait_s: How long it may take.

        Raises:
            BooksUnavailable: The database does not answer within *wait_s*.
        """
        return await _answer(self._database.glance(work), wait_s)

    async def run(self, script: Script[T]) -> T:
        """Runs what is no part of the records, such as counters, between two batches; what its `result` makes.

        Raises:
            BooksUnavailable: The database does not answer. What was to be written may be.
        """
        if not self._committer.available:
            raise BooksUnavailable("the database does not answer")
        try:
            return await self._database.run(script)
        except StorageError as error:
            raise BooksUnavailable(str(error)) from None

    async def _day_of(self, budget_id: str, zone: ZoneInfo, day: date) -> Period:
        """The period that holds the noon of *day*: the zone may have been another one then."""
        noon_us = int(datetime.combine(day, time(12), zone).timestamp()) * 1_000_000

        async def look(tx: Transaction) -> Period:
            rows = await tx.fetch(_PERIOD, noon_us, budget_id)
            return Period(*rows[0]) if rows else period_at(zone, noon_us)

        return await self.read(look)

    async def _within(self, step: str, entry: Entry) -> Any:
        started_s = perf_counter()
        done = self._committer.submit(entry)
        # asyncio.timeout does the same at ten times the cost, and every call waits here twice.
        timer = asyncio.get_running_loop().call_later(ANSWER_WAIT_S, _give_up, entry)
        try:
            return await done
        finally:
            timer.cancel()
            self._waited(step, perf_counter() - started_s)


_PERIOD = """
SELECT period_start_us, period_end_us FROM budget_period
WHERE period_start_us <= $1 AND $1 < period_end_us AND budget_id = $2"""


async def _answer(reading: Awaitable[T], wait_s: float) -> T:
    try:
        async with asyncio.timeout(wait_s):
            return await reading
    except TimeoutError:
        raise BooksUnavailable(f"the database has not answered for {wait_s:g} s") from None
    except StorageError as error:
        raise BooksUnavailable(str(error)) from None


def _give_up(entry: Entry) -> None:
    if not entry.done.done():
        entry.done.set_exception(BooksUnavailable("the record is not durable yet", entry.team))


def _ignore(done: "asyncio.Future[T]") -> None:
    if not done.cancelled():
        done.exception()

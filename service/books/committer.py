"""Group commit: whoever finds the committer idle starts it, and what comes during a commit is the next batch.

There is no delay: alone, an entry waits for its own commit only. What ended upstream (settlements, withdrawals)
is kept until it is durable; what is to begin (admissions) or to be told (notes) fails at once when the database does.
"""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from service.books import ledger
from service.books.batch import HoldMissing
from service.books.batch_writer import BatchWriter
from service.books.clock import DatabaseClock
from service.books.entries import Admission, Entry, Withdrawal, Work
from service.books.errors import BooksError, BooksUnavailable
from service.books.gathering import until_idle
from service.books.period import Period
from service.books.trail import ChainForked, fresh_pen
from service.storage.database import Database
from service.storage.errors import CommitUncertain, Conflict, DatabaseUnavailable, LockTimeout

ENTRIES_MAX = 512  # of one batch; more would keep the first of them waiting
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 1.0
STUCK_RETRY_S = 0.25
QUARANTINE_RETRY_S = 10.0
STUCK_LOCK_TIMEOUT_S = 0.02
"""What a batch waits for a row that was locked the last time: others wait behind it."""

_DOWN = "the database does not answer"
_LOCKED = "the budget is locked"
_CLOSED = "the service stops"

_log = structlog.get_logger()


class Committer:
    """Writes entries in batches, one after the other.

    Args:
        database: Where to.
        clock: Dates the records.
        told: Called with False when the database fails, with True when it works again; MUST NOT raise.
        jitter: Draws from [0, 1).
        gather: Waits for what is to join a batch.
    """

    def __init__(
        self,
        database: Database,
        clock: DatabaseClock,
        told: Callable[[bool], None],
        jitter: Callable[[], float] = random.random,
        gather: Callable[[], Awaitable[None]] = until_idle,
    ) -> None:
        self._database = database
        self._clock = clock
        self._told = told
        self._jitter = jitter
        self._gather = gather
        self._queue: deque[Entry] = deque()
        self._under_way: Sequence[Entry] = ()
        self._running: asyncio.Task[None] | None = None
        self._writer = BatchWriter(database)
        self._pen = fresh_pen()
        self._periods: dict[str, Period] = {}
        self._down = False
        self._failures = 0
        self._stuck: dict[str, list[Entry]] = {}
        self._suspects: set[str] = set()
        self._due: list[str] = []
        self._quarantined: list[Entry] = []
        self._closed = False

    @property
    def available(self) -> bool:
        """The database took the last batch, or answers again."""
        return not self._down

    @property
    def waiting(self) -> int:
        """Entries that are not durable yet, and the rest of the batch under way."""
        return len(self._left())

    def submit(self, entry: Entry) -> "asyncio.Future[Any]":
        """Queues one entry; its future tells when it is durable, or why it will not be.

        What ended upstream is never refused; a waiter that gives up loses its answer, not the entry.
        """
        entry.done = asyncio.get_running_loop().create_future()
        if self._closed:
            self._refuse(entry, _CLOSED)
        elif entry.is_kept or not (self._down or entry.team in self._stuck):
            self._queue.append(entry)
            self._start()
        else:
            self._refuse(entry, _DOWN if self._down else _LOCKED)
        return entry.done

    async def close(self, timeout_s: float) -> int:
        """Writes what is queued, for at most *timeout_s*; returns how many entries were not. Nothing is taken later."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while self.waiting and (left_s := end_s - loop.time()) > 0:
            if self._running is None:  # what is set apart waits for its time
                await asyncio.sleep(min(left_s, STUCK_LOCK_TIMEOUT_S))
            else:
                await asyncio.wait({self._running}, timeout=left_s)
        left = self._left()  # with the batch that is given up now
        self._closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        for entry in left:
            self._refuse(entry, _CLOSED)
        return len(left)

    def _left(self) -> list[Entry]:
        stuck = itertools.chain.from_iterable(self._stuck.values())
        # What is set apart from the batch under way is in two places.
        return list(dict.fromkeys((*self._under_way, *self._queue, *stuck, *self._quarantined)))

    def _start(self) -> None:
        if self._running is None and not self._closed:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._queue or self._down or self._due:
                if self._down:
                    await self._recover()
                elif self._due:
                    await self._write_batch(self._stuck.pop(self._due.pop()), STUCK_LOCK_TIMEOUT_S)
                else:
                    await self._gather()
                    await self._write_batch(*self._next_batch())
        finally:
            self._running = None

    def _next_batch(self) -> tuple[list[Entry], float | None]:
        """What to write next, and how long to wait for a locked row; None is as long as ever."""
        batch: list[Entry] = []
        while self._queue and len(batch) < ENTRIES_MAX:
            entry = self._queue.popleft()
            suspect = entry.team in self._suspects
            if entry.team in self._stuck:
                self._set_apart(entry)
            elif isinstance(entry, Work) or suspect:  # it may refuse, and locks in an order of its own; or is locked
                if batch:
                    self._queue.appendleft(entry)
                    break
                return [entry], STUCK_LOCK_TIMEOUT_S if suspect else None
            elif not (entry.done.cancelled() and isinstance(entry, Admission)):
                batch.append(entry)
        return batch, None

    async def _write_batch(self, batch: Sequence[Entry], lock_timeout_s: float | None = None) -> None:
        self._under_way = batch
        try:
            await self._write(batch, lock_timeout_s)
        finally:
            self._under_way = ()

    async def _write(self, batch: Sequence[Entry], lock_timeout_s: float | None = None) -> None:
        """Writes a batch; if not all of it can be written, what can be."""
        if not batch:
            return
        if self._down:  # since it was cut into parts
            self._failed(batch)
            return
        try:
            written = await self._writer.write(batch, self._pen, self._periods, self._clock.now_us(), lock_timeout_s)
        except (CommitUncertain, DatabaseUnavailable) as error:
            self._went_down(error)
            self._failed(batch)
            if isinstance(error, CommitUncertain):
                self._pen = fresh_pen()  # the chain so far may have an end that nobody here knows
                for entry in batch:
                    if isinstance(entry, Admission):
                        self._withdraw(entry)
        except BooksError as refused:  # an operation's, which stands alone
            self._resolve(batch[0], refused)
        except Exception as error:
            await self._write_parts(batch, error)
        else:
            self._pen, self._periods = written.pen, written.periods
            self._failures = 0
            if self._suspects:
                self._suspects.difference_update(entry.team for entry in batch)
            for entry, result in written.results:
                self._resolve(entry, result)

    async def _write_parts(self, batch: Sequence[Entry], error: Exception) -> None:
        """One entry's trouble — a row locked by a stopped replica, an id used twice — is not the others'."""
        if isinstance(error, Conflict | ChainForked):
            self._pen = fresh_pen()  # a commit believed lost may have come to pass
        teams = sorted({entry.team for entry in batch})
        if len(teams) > 1:
            for team in teams:
                await self._write([entry for entry in batch if entry.team == team], STUCK_LOCK_TIMEOUT_S)
        elif isinstance(error, LockTimeout):
            _log.warning("budget locked", team=teams[0], entries=len(batch))
            for entry in batch:
                self._set_apart(entry)
        elif len(batch) > 1:
            for entry in batch:
                await self._write([entry])
        else:
            self._quarantine(batch[0], error)

    def _quarantine(self, entry: Entry, error: Exception) -> None:
        """An entry that cannot be written even alone: it must not keep the others from it."""
        _log.error("entry not written", entry=type(entry).__name__, team=entry.team, exc_info=error)
        self._refuse(entry, "a record could not be written")
        if entry.is_kept:
            self._quarantined.append(entry)
            asyncio.get_running_loop().call_later(QUARANTINE_RETRY_S, self._release, entry)

    def _release(self, entry: Entry) -> None:
        self._quarantined.remove(entry)
        self._queue.append(entry)
        self._start()

    def _set_apart(self, entry: Entry) -> None:
        """Leaves an entry out for now: what ended upstream is tried again soon, anything else fails.

        Nothing of its team is tried before, and then by itself and briefly: others would wait for the lock as well.
        """
        if entry.team not in self._stuck:
            self._stuck[entry.team] = []
            self._suspects.add(entry.team)
            asyncio.get_running_loop().call_later(STUCK_RETRY_S, self._fall_due, entry.team)
        if entry.is_kept:
            self._stuck[entry.team].append(entry)
        else:
            self._refuse(entry, _LOCKED)

    def _fall_due(self, team: str) -> None:
        self._due.append(team)
        self._start()

    def _went_down(self, error: Exception) -> None:
        if not self._down:
            _log.error("books unavailable", problem=str(error), waiting=self.waiting)
            self._down = True
            self._told(False)
        self._failures += 1

    def _failed(self, batch: Sequence[Entry]) -> None:
        """Keeps what ended upstream for when the database is back, in its order; anything else fails, queued or not."""
        left = [*batch, *self._queue]
        self._queue = deque(entry for entry in left if entry.is_kept)
        for entry in left:
            if not entry.is_kept:
                self._refuse(entry, _DOWN)

    async def _recover(self) -> None:
        backoff_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(self._failures, 10))
        await asyncio.sleep(backoff_s * (0.5 + self._jitter() / 2))
        try:
            # Its time may have been stepped meanwhile.
            await self._clock.follow(self._database.transact(ledger.probe))
        except Exception:
            self._failures += 1
            return
        # The failures are forgotten once a batch is durable: what is full can have room for a probe.
        _log.info("books available", waiting=self.waiting)
        self._down = False
        self._told(True)

    def _resolve(self, entry: Entry, result: Any) -> None:
        if isinstance(result, HoldMissing):
            _log.critical("hold missing", team=entry.team, problem=str(result))
            self._refuse(entry, "the database lost a hold")
        elif isinstance(result, Exception):
            self._fail(entry, result)
        elif not entry.done.done():  # else its waiter has given up
            entry.done.set_result(result)
        elif entry.done.cancelled() and isinstance(entry, Admission):
            self.submit(entry.voided(result))

    def _withdraw(self, admission: Admission) -> None:
        self.submit(Withdrawal(admission.team, admission))

    def _refuse(self, entry: Entry, why: str) -> None:
        self._fail(entry, BooksUnavailable(why, entry.team))

    @staticmethod
    def _fail(entry: Entry, error: Exception) -> None:
        if not entry.done.done():
            entry.done.set_exception(error)
            entry.done.exception()  # for what is kept there may be nobody who asks

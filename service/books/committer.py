"""Group commit: whoever finds the committer idle starts it, and what comes during a commit is the next batch.

There is no delay: alone, an entry waits for its own commit only, and after a rest even that is over when it has been
submitted. What ended upstream (settlements, withdrawals) is kept until it is durable; what is to begin (admissions) or
to be told (notes) fails at once when the database does.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

import structlog

from service.books import ledger
from service.books.batch import HoldMissing, Written
from service.books.batch_writer import BatchWriter
from service.books.clock import DatabaseClock
from service.books.entries import Admission, Entry, Settlement, Withdrawal, Work
from service.books.errors import BooksError
from service.books.gathering import Rest, until_idle
from service.books.set_apart import LOCKED, STUCK_LOCK_TIMEOUT_S, SetApart
from service.books.trail import ChainForked, fresh_pen
from service.storage.database import Database
from service.storage.errors import CommitUncertain, Conflict, DatabaseUnavailable, LockTimeout

ENTRIES_MAX = 512  # of one batch; more would keep the first of them waiting
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 1.0

_DOWN = "the database does not answer"
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
        now_s: Seconds that only go forward.
    """

    def __init__(
        self,
        database: Database,
        clock: DatabaseClock,
        told: Callable[[bool], None],
        jitter: Callable[[], float] = random.random,
        gather: Callable[[], Awaitable[None]] = until_idle,
        now_s: Callable[[], float] = perf_counter,
    ) -> None:
        self._database = database
        self._clock = clock
        self._told = told
        self._jitter = jitter
        self._gather = gather
        self._rest = Rest(now_s)
        self._queue: deque[Entry] = deque()
        self._under_way: Sequence[Entry] = ()
        self._running: asyncio.Task[None] | None = None
        self._writer = BatchWriter(database)
        self._down = False
        self._failures = 0
        self._set_apart = SetApart(self._queue_again)
        self._closed = False

    @property
    def available(self) -> bool:
        """The database took the last batch, or answers again."""
        return not self._down

    @property
    def waiting(self) -> int:
        """Entries that are not durable yet, and the rest of the batch under way."""
        return len(self._left())

    def submit(self, entry: Entry, after: Settlement | None = None) -> "asyncio.Future[Any]":
        """Queues one entry; its future tells when it is durable, or why it will not be.

        What ended upstream is never refused; a waiter that gives up loses its answer, not the entry.

        Args:
            entry: The entry.
            after: What goes before it, into the same transaction.
        """
        if after is not None:
            self._take(after)
        self._take(entry)
        self._start()
        return entry.done

    def _take(self, entry: Entry) -> None:
        entry.done = asyncio.get_running_loop().create_future()
        if self._closed:
            entry.refuse(_CLOSED)
        elif entry.is_kept or not (self._down or self._set_apart.is_locked(entry.team)):
            self._queue.append(entry)
        else:
            entry.refuse(_DOWN if self._down else LOCKED)

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
            entry.refuse(_CLOSED)
        return len(left)

    def _left(self) -> list[Entry]:
        # What is set apart from the batch under way is in two places.
        return list(dict.fromkeys((*self._under_way, *self._queue, *self._set_apart)))

    def _queue_again(self, entries: Sequence[Entry]) -> None:
        self._queue.extend(entries)
        self._start()

    def _start(self) -> None:
        if self._queue and self._may_start and self._rest.is_over:
            self._write_at_once()
        if self._has_work and self._may_start:
            self._running = asyncio.get_running_loop().create_task(self._run())

    @property
    def _may_start(self) -> bool:
        return self._running is None and not self._closed

    @property
    def _has_work(self) -> bool:
        return bool(self._queue) or self._down or self._set_apart.is_due

    def _write_at_once(self) -> None:
        """Writes what is queued in this turn of the loop, if nothing has to be waited for."""
        apart = self._set_apart
        if self._down or any(apart.is_locked(each.team) or apart.is_suspect(each.team) for each in self._queue):
            return
        batch, self._queue = list(self._queue), deque()
        try:
            written = self._writer.write_at_once(batch, self._clock.now_us())
        except (CommitUncertain, DatabaseUnavailable) as error:
            self._lost(batch, error)
        except Exception:  # nothing has happened: the other way, step by step, finds what is the matter
            self._queue.extend(batch)
        else:
            self._took(batch, written)

    async def _run(self) -> None:
        try:
            while self._has_work:
                if self._down:
                    await self._recover()
                elif self._set_apart.is_due:
                    await self._write_batch(self._set_apart.take_due(), STUCK_LOCK_TIMEOUT_S)
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
            suspect = self._set_apart.is_suspect(entry.team)
            if self._set_apart.is_locked(entry.team):
                self._set_apart.lock(entry)
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
            written = await self._writer.write(batch, self._clock.now_us(), lock_timeout_s)
        except (CommitUncertain, DatabaseUnavailable) as error:
            self._lost(batch, error)
        except BooksError as refused:  # an operation's, which stands alone
            self._resolve(batch[0], refused)
        except Exception as error:
            await self._write_parts(batch, error)
        else:
            self._took(batch, written)

    def _took(self, batch: Sequence[Entry], written: Written) -> None:
        self._rest.begin()
        self._failures = 0
        self._set_apart.clear(batch)
        for entry, result in written.results:
            self._resolve(entry, result)

    def _lost(self, batch: Sequence[Entry], error: CommitUncertain | DatabaseUnavailable) -> None:
        self._went_down(error)
        self._failed(batch)
        if isinstance(error, CommitUncertain):
            self._writer.pen = fresh_pen()  # the chain so far may have an end that nobody here knows
            for entry in batch:
                if isinstance(entry, Admission):
                    self._withdraw(entry)

    async def _write_parts(self, batch: Sequence[Entry], error: Exception) -> None:
        """One entry's trouble — a row locked by a stopped replica, an id used twice — is not the others'."""
        if isinstance(error, Conflict | ChainForked):
            self._writer.pen = fresh_pen()  # a commit believed lost may have come to pass
        teams = sorted({entry.team for entry in batch})
        if len(teams) > 1:
            for team in teams:
                await self._write([entry for entry in batch if entry.team == team], STUCK_LOCK_TIMEOUT_S)
        elif isinstance(error, LockTimeout):
            _log.warning("budget locked", team=teams[0], entries=len(batch))
            for entry in batch:
                self._set_apart.lock(entry)
        elif len(batch) > 1:
            for entry in batch:
                await self._write([entry])
        else:
            self._set_apart.quarantine(batch[0], error)

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
                entry.refuse(_DOWN)

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
            entry.refuse("the database lost a hold")
        elif isinstance(result, Exception):
            entry.fail(result)
        elif not entry.done.done():  # else its waiter has given up
            entry.done.set_result(result)
        elif entry.done.cancelled() and isinstance(entry, Admission):
            self.submit(entry.voided(result))

    def _withdraw(self, admission: Admission) -> None:
        self.submit(Withdrawal(admission.team, admission))

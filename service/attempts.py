"""The only retry loop: turn and slot → hold and intent → one HTTP request → charge and outcome.

Again only where no work can have been done.

Nothing is sent before the hold and the intent are durable, and nothing is answered before the outcome is.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from clients.errors import UpstreamError
from clients.pacing.errors import UpstreamBusy
from clients.pacing.pacer import Pacer
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1 import error_reason_pb2 as reasons
from service import attempt_ends
from service.attempt_ends import Answered
from service.books.alerts import Alerts
from service.books.books import Books
from service.books.entries import Admitted, Settlement
from service.books.errors import BooksError, BudgetSpent
from service.call import ATTEMPT_TIME_MIN_MS, Call
from service.call_records import End, admission_of, settlement_of
from service.errors import DeadlineTooShort
from service.quote import Quote
from service.snapshot import BudgetTerms
from service.telemetry.metrics import Metrics

ATTEMPTS_MAX = 3
BACKOFF_BASE_S = 0.25
KEY_REFUSED = frozenset({401, 403})
"""With another version of the team's Cohere key the same request may be taken."""


class _TryAgain(Exception):
    """Cohere provably did no work; the end of the attempt waits for the next one's hold."""

    def __init__(self, settlement: Settlement, wait_s: float, error: UpstreamError) -> None:
        self.settlement = settlement
        self.wait_s = wait_s
        self.error = error
        super().__init__()


class Attempts:
    """Makes the attempts of a call.

    Args:
        pacer: Gives each its turn.
        books: Hold, record and charge each of them.
        budget_of: A team's budget as it is now, whatever it was when the call began; None if the team is gone.
        metrics: Told of every attempt.
        alerts: Told of every charge.
        strict: Failures that Cohere names itself (5xx, 408, 409) are charged at the hold.
        jitter: Draws from [0, 1).
    """

    def __init__(
        self,
        pacer: Pacer,
        books: Books,
        budget_of: Callable[[str], BudgetTerms | None],
        metrics: Metrics,
        alerts: Alerts,
        *,
        strict: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._pacer = pacer
        self._books = books
        self._budget_of = budget_of
        self._metrics = metrics
        self._alerts = alerts
        self._strict = strict
        self._jitter = jitter

    async def run(
        self, call: Call, client: TeamClient, quote: Quote, once: Callable[[Slot], Awaitable[Answered]]
    ) -> Answered:
        """Makes up to `ATTEMPTS_MAX` attempts within the call's deadline.

        Args:
            call: Filled with what each attempt showed.
            client: The team's.
            quote: What each attempt holds.
            once: One HTTP request, from slot to decoded answer.

        Raises:
            UpstreamError: The last attempt's failure. What an answer itself says went wrong is in the answer.
            BooksError: It could not be paid for, or not be recorded.
            DeadlineTooShort: Too little time was left to begin.
            PacingError: Its turn comes too late, or never.
            PaceLost: The database does not know whose turn it is.
        """
        parked: Settlement | None = None
        failed: UpstreamError | None = None
        try:
            while True:
                call.require_time_for_an_attempt()
                if parked is not None and not client.has_turn(self._pacer, quote.load):
                    self._books.submit(parked)  # or its hold would last as long as the wait
                    parked = None
                slot = await self._slot(call, client, quote, failed)
                after, parked = parked, None
                try:
                    return await self._one(call, client, slot, quote, once, after)
                except _TryAgain as again:
                    parked, failed = again.settlement, again.error
                    await asyncio.sleep(again.wait_s)
        finally:
            if parked is not None:
                self._books.submit(parked)

    async def _slot(self, call: Call, client: TeamClient, quote: Quote, failed: UpstreamError | None) -> Slot:
        """Waits for an attempt's turn, before anything is held: who waits for Cohere keeps nobody from their money."""
        try:
            slot = await client.slot(call.endpoint, self._pacer, quote.load, call.latest_turn_s)
        except UpstreamBusy:
            if failed is None:
                raise
            raise failed from None  # there was an attempt, and this is how it ended
        try:
            call.require_time_for_an_attempt()
        except DeadlineTooShort:
            self._unsent(call, client, slot)
            raise
        return slot

    async def _one(
        self,
        call: Call,
        client: TeamClient,
        slot: Slot,
        quote: Quote,
        once: Callable[[Slot], Awaitable[Answered]],
        after: Settlement | None,
    ) -> Answered:
        call.attempts += 1
        call.key_version = slot.key.version
        call.upstream_status, call.answer_content, call.billing = 0, None, None
        call.debug_trace_id, call.upstream_fault = "", ""
        call.slot = slot
        budget = self._budget_of(call.caller.team) or call.snapshot.budget_of(call.caller.team)
        try:
            admitted = await self._admit(call, quote, budget, after)
            try:
                call.require_time_for_an_attempt()  # the commit took some
                answered = await self._timed(call, slot, once)
            except UpstreamError as error:
                client.keys.answered(slot, call.endpoint, error.status)
                await self._failed(call, client, slot, quote, budget, admitted, error)
                raise
            except BaseException as error:
                self._books.submit(self._ended(call, quote, admitted, attempt_ends.broken_off(call, slot, error)))
                raise
            client.keys.answered(slot, call.endpoint, 200)
            await self._settle(call, quote, budget, admitted, attempt_ends.answered(call, quote, answered))
        finally:
            call.slot = None
            call.sent = call.sent or slot.sent
            if not slot.sent:
                self._unsent(call, client, slot)
        return answered

    def _unsent(self, call: Call, client: TeamClient, slot: Slot) -> None:
        self._pacer.give_back(slot.turn)
        client.keys.unused(slot, call.endpoint)

    async def _admit(self, call: Call, quote: Quote, budget: BudgetTerms, after: Settlement | None) -> Admitted:
        before, call.on_record = call.on_record, True  # it may be, if the caller leaves meanwhile
        try:
            return await self._books.admit(admission_of(call, quote, budget), after)
        except BooksError as refused:
            call.on_record = before
            call.attempts -= 1
            if isinstance(refused, BudgetSpent):
                committed_nanos = refused.spent_nanos + refused.held_nanos
                self._alerts.spent(call.caller.team, refused.resets_at_us, committed_nanos, refused.limit_nanos)
            raise

    async def _timed(self, call: Call, slot: Slot, once: Callable[[Slot], Awaitable[Answered]]) -> Answered:
        started_ns = time.perf_counter_ns()
        status = 200
        try:
            return await once(slot)
        except UpstreamError as error:
            status = error.status or 0
            call.debug_trace_id = error.debug_trace_id or call.debug_trace_id
            call.upstream_fault = error.fault
            call.billing = error.billing
            raise
        finally:
            call.upstream_status = status
            call.upstream_ns += time.perf_counter_ns() - started_ns
            self._metrics.attempt_ended(call.caller.team, status)

    async def _failed(
        self,
        call: Call,
        client: TeamClient,
        slot: Slot,
        quote: Quote,
        budget: BudgetTerms,
        admitted: Admitted,
        error: UpstreamError,
    ) -> None:
        """Ends an attempt that failed; if there is to be another, its end waits for that one's hold."""
        end = attempt_ends.failure(call, slot, error, strict=self._strict)
        if error.reason == reasons.ERROR_REASON_COHERE_RATE_LIMITED:
            self._pacer.slow(call.caller.team, slot.key, quote.load, error.retry_after_s)
        try:
            wait_s = await self._wait_s(call, client, slot, error)
        except BaseException:
            end.closes = False
            self._books.submit(self._ended(call, quote, admitted, end))
            raise
        if wait_s is not None:
            end.closes = False
            raise _TryAgain(self._ended(call, quote, admitted, end), wait_s, error)
        await self._settle(call, quote, budget, admitted, end)

    async def _settle(self, call: Call, quote: Quote, budget: BudgetTerms, admitted: Admitted, end: End) -> None:
        settled = await self._books.settle(self._ended(call, quote, admitted, end))
        call.remaining_nanos = max(0, budget.limit_nanos - settled.committed_nanos)
        self._alerts.committed(call.caller.team, admitted.period, settled.committed_nanos, budget.limit_nanos)

    def _ended(self, call: Call, quote: Quote, admitted: Admitted, end: End) -> Settlement:
        """Counts what an attempt costs, and gives its end for the books."""
        cost_nanos = quote.hold_nanos if end.charge_nanos is None else end.charge_nanos
        call.cost_nanos += cost_nanos
        self._alerts.settled(call.caller.team, call.call_id, cost_nanos, quote.hold_nanos)
        return settlement_of(call, quote, admitted, end)

    async def _wait_s(self, call: Call, client: TeamClient, slot: Slot, error: UpstreamError) -> float | None:
        """Seconds to wait before the next attempt; None if there must not be one."""
        if call.detached or call.attempts >= ATTEMPTS_MAX:
            return None
        if error.status in KEY_REFUSED:
            return 0.0 if await client.keys.another(slot.key, call.endpoint) else None
        if not attempt_ends.proved_free(error):
            return None
        wait_s = self._jitter() * BACKOFF_BASE_S * 2**call.attempts
        if error.retry_after_s is not None:
            wait_s = max(wait_s, error.retry_after_s)
        left_s = call.deadline_s - asyncio.get_running_loop().time() - ATTEMPT_TIME_MIN_MS / 1000
        return wait_s if wait_s < left_s else None

"""The only retry loop: a slot, one HTTP request, its outcome; again only where no work can have been done."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clients.errors import Billing, UpstreamError
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1 import error_reason_pb2 as reasons
from service.call import ATTEMPT_TIME_MIN_MS, Call
from service.telemetry.metrics import Metrics

ATTEMPTS_MAX = 3
BACKOFF_BASE_S = 0.25
RETRY_AFTER_MAX_S = 5.0
"""A 429 that asks for more is the caller's to wait out."""

T = TypeVar("T")


class Attempts:
    """Makes the attempts of a call.

    Args:
        metrics: Told of every attempt.
        jitter: Draws from [0, 1).
    """

    def __init__(self, metrics: Metrics, jitter: Callable[[], float] = random.random) -> None:
        self._metrics = metrics
        self._jitter = jitter

    async def run(self, call: Call, client: TeamClient, once: Callable[[Slot], Awaitable[T]]) -> T:
        """Makes up to `ATTEMPTS_MAX` attempts within the call's deadline.

        Args:
            call: Filled with what each attempt showed.
            client: The team's.
            once: One HTTP request, from slot to decoded answer.

        Raises:
            UpstreamError: The last attempt's failure.
            DeadlineTooShort: Too little time was left to begin.
        """
        key_renewed = False
        while True:
            slot = await client.slot()
            call.require_time_for_an_attempt()
            try:
                return await self._one(call, slot, once)
            except UpstreamError as error:
                if not key_renewed and error.status == 401 and not call.detached:
                    key_renewed = True
                    if call.attempts < ATTEMPTS_MAX and await client.keys.renew_after(slot.key):
                        continue
                wait_s = self._wait_s(call, error)
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)

    async def _one(self, call: Call, slot: Slot, once: Callable[[Slot], Awaitable[T]]) -> T:
        call.attempts += 1
        call.key_version = slot.key.version
        call.slot = slot
        call.billing = None
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
            call.slot = None
            call.upstream_status = status
            call.upstream_ns += time.perf_counter_ns() - started_ns
            self._metrics.attempt_ended(call.caller.team, status)

    def _wait_s(self, call: Call, error: UpstreamError) -> float | None:
        """Seconds to wait before the next attempt; None if there must not be one."""
        if call.detached or call.attempts >= ATTEMPTS_MAX or not _proved_free(error):
            return None
        wait_s = self._jitter() * BACKOFF_BASE_S * 2**call.attempts
        if error.retry_after_s is not None:
            wait_s = max(wait_s, error.retry_after_s)
        left_s = call.deadline_s - asyncio.get_running_loop().time() - ATTEMPT_TIME_MIN_MS / 1000
        return wait_s if wait_s < left_s else None


def _proved_free(error: UpstreamError) -> bool:
    """Tells whether the same request may be sent again: Cohere did no work, and another try can end differently."""
    if error.billing is not Billing.NONE:
        return False
    if error.status is None:
        return error.reason == reasons.ERROR_REASON_COHERE_UNAVAILABLE
    if error.status == 429:
        return error.retry_after_s is not None and error.retry_after_s <= RETRY_AFTER_MAX_S
    return error.status == 503

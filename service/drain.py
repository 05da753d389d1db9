"""Lets an attempt outlive its caller: who leaves does not end what Cohere will bill.

A caller that cancels, or whose deadline passes, is detached: what was sent runs on to its end, at most
`drain_seconds`, so that what it cost is known; what was not is given up. Shutdown waits for the same.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.errors import DeadlineExceeded
from service.status import CANCELLED, Outcome, outcome_of

T = TypeVar("T")


class Drain:
    """Runs attempts in tasks of their own and keeps those whose caller has left.

    Args:
        drain_s: How long an attempt may run on after its caller left.
        ended: Told how a detached attempt ended.
    """

    def __init__(self, drain_s: float, ended: Callable[[Call, Outcome], None]) -> None:
        self._drain_s = drain_s
        self._ended = ended
        self._detached: set[asyncio.Task[Any]] = set()

    async def run(self, call: Call, attempt: Coroutine[Any, Any, T], events: "EventWriter | None" = None) -> T:
        """Runs *attempt* until it ends or the caller leaves.

        Args:
            call: Whose deadline counts.
            attempt: What to run.
            events: Where the attempt writes its stream, if it has one.

        Raises:
            DeadlineExceeded: The caller's deadline passed first.
            asyncio.CancelledError: The caller cancelled first.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(attempt)
        # Waiting on a future of our own, not on the task: a cancelled waiter must not cancel the attempt.
        left: asyncio.Future[bool] = loop.create_future()

        def leave(*, deadline_passed: bool) -> None:
            if not left.done():
                left.set_result(deadline_passed)

        task.add_done_callback(lambda _: leave(deadline_passed=False))
        timer = loop.call_at(call.deadline_s, functools.partial(leave, deadline_passed=True))
        try:
            deadline_passed = await left
        except asyncio.CancelledError:
            self._detach(call, task, events, CANCELLED)
            raise
        finally:
            timer.cancel()
        if deadline_passed and not task.done():
            error = DeadlineExceeded()
            self._detach(call, task, events, outcome_of(error))
            raise error
        return task.result()

    @property
    def detached(self) -> int:
        """How many attempts run without their caller now."""
        return len(self._detached)

    async def close(self, timeout_s: float | None = None) -> None:
        """Waits until every detached attempt has ended, and ends those that have not by then."""
        if self._detached:
            await asyncio.wait(self._detached, timeout=timeout_s)
        for task in self._detached:
            task.cancel()
        while self._detached:
            await asyncio.wait(self._detached)

    def _detach(self, call: Call, task: asyncio.Task[Any], events: "EventWriter | None", left: Outcome) -> None:
        call.detached = True
        call.left = left
        if task.done():  # both at once: what it cost is known already
            self._ended(call, _outcome_of(task))
            return
        if not call.may_cost:
            # Waiting for a connection, or between two attempts: nothing will be sent for nobody.
            task.cancel()
        elif events is not None:
            events.detach(task)
        self._detached.add(task)
        timer = asyncio.get_running_loop().call_later(self._drain_s, task.cancel)

        def report(ended: asyncio.Task[Any]) -> None:
            timer.cancel()
            self._detached.discard(ended)
            self._ended(call, _outcome_of(ended))

        task.add_done_callback(report)


def _outcome_of(task: asyncio.Task[Any]) -> Outcome:
    return outcome_of(asyncio.CancelledError() if task.cancelled() else task.exception())


class EventWriter:
    """Writes a stream's messages from its attempt, and stops writing, not reading, when the caller has left."""

    def __init__(self, call: Call, context: Context) -> None:
        self._call = call
        self._context: Context | None = context
        self._writing = False
        self._released = False

    async def write(self, event: Message) -> None:
        """Sends one message to the caller, if it is still there; waits while it reads slowly."""
        context = self._context
        if self._call.detached or context is None:
            return
        self._writing = True
        try:
            await context.write(event)
            self._call.events += 1
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._released or task is None:
                raise
            task.uncancel()
        except Exception:
            self._call.detached = True
        finally:
            self._writing = self._released = False

    def detach(self, task: asyncio.Task[Any]) -> None:
        """Frees the attempt from a write that nobody will read."""
        self._context = None  # holds the call, and a connection has room for only so many ended ones
        if self._writing:
            self._released = True
            task.cancel()

"""Closes every call: its last record is durable before its answer leaves, and its log line is written.

What has attempts is closed by the outcome of the last one; this writes the answer record of what has none, such as
refusals and reports, and of a call that ended otherwise than its outcome says.
"""

import asyncio
import contextlib

import grpc
from google.protobuf.message import Message

from service.books.books import Books
from service.books.entries import UTC
from service.books.errors import BooksError, BooksUnavailable
from service.books.refusals import Refusals, source_of
from service.call import Call
from service.call_records import answer_of, usage_of
from service.context import Context
from service.interceptors.chain import Proceed
from service.status import OK, Outcome, outcome_of
from service.telemetry.log import CallLog


class AuditInterceptor:
    """Writes what the books keep of a call beside its attempts, and the line.

    Args:
        log: Where lines go.
        books: Where records go.
        refusals: Tells floods of refusals from single ones.
    """

    def __init__(self, log: CallLog, books: Books, refusals: Refusals) -> None:
        self._log = log
        self._books = books
        self._refusals = refusals

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`.

        Raises:
            BooksUnavailable: The call could not be recorded, so it is not answered. Refused credentials are.
        """
        outcome = OK
        try:
            response = await proceed(call, context)
            if call.closed is None:
                await self._answer(call)
        except BaseException as error:
            outcome = outcome_of(error)
            try:
                await self._close(call, outcome, error)
            except BooksUnavailable as unavailable:
                outcome = outcome_of(unavailable)
                raise unavailable from None
            raise
        else:
            return response
        finally:
            if not call.counted or call.principal is not None:
                self._log.ended(call, outcome)

    def drained(self, call: Call, outcome: Outcome) -> None:
        """Closes a call whose caller left before its attempt ended."""
        self._log.drained(call, outcome)
        left = call.left or outcome
        if call.closed != left:
            self._books.submit(answer_of(call, left))

    async def _answer(self, call: Call) -> None:
        note = answer_of(call, OK)
        try:
            await self._books.record(note)
        except asyncio.CancelledError:
            if note.done.cancelled() or note.done.exception() is None:
                # It is durable or on its way. That it becomes so is what the correction of it rests on.
                note.keep, call.closed = True, OK
            raise

    async def _close(self, call: Call, outcome: Outcome, error: BaseException) -> None:
        if call.detached or call.closed == outcome:
            return  # the attempt closes it, or has
        if call.closed is not None:
            self._books.submit(answer_of(call, outcome))
            return
        who = call.principal
        team = who.team if who else ""
        source = who.credential_id if who else source_of(call.peer)
        zone = call.snapshot.budget_of(team).zone if who else UTC
        if not (call.on_record or self._refusals.stands_alone(source, team, zone, usage_of(call, outcome))):
            call.counted = True
            return
        note = answer_of(call, outcome)
        if isinstance(error, asyncio.CancelledError):  # nobody waits, and nothing may be awaited here
            self._books.submit(note)
        elif outcome.code == grpc.StatusCode.UNAUTHENTICATED.name:
            with contextlib.suppress(BooksError):  # whoever it is learns nothing of the books
                await self._books.record(note)
        elif not isinstance(error, BooksUnavailable):
            await self._books.record(note)
        elif call.on_record:  # the books failed it at a further attempt
            self._books.submit(note)

"""Outermost: turns what a call raised into its status.

It stands outside the audit, because sending the status is sending the answer: `abort` must come after the record.
Anything unforeseen becomes a bare INTERNAL; its text and trace go to the log alone.
"""

from collections.abc import Callable
from typing import TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.identity.principal import Principal
from service.interceptors.chain import Proceed
from service.limits.limits import LimitStanding
from service.status import cohort_error_of, status_of

CALL_ID = "x-call-id"
RATE_LIMIT, RATE_REMAINING, RATE_RESET = "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"
STATUS_DETAILS = "grpc-status-details-bin"

Trailers: TypeAlias = tuple[tuple[str, str | bytes], ...]

_log = structlog.get_logger()


class ErrorInterceptor:
    """Sends statuses and the trailers that stand on every answer.

    Args:
        tightest: How a caller stands with the limit of which the smallest share is left; None where it has none.
    """

    def __init__(self, tightest: Callable[[Principal], LimitStanding | None]) -> None:
        self._tightest = tightest

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`."""
        try:
            response = await proceed(call, context)
        except Exception as raised:
            end = _end_of(call, raised, self._trailers(call))
            raised.__traceback__ = None  # its frames hold the context, see below
        else:
            context.set_trailing_metadata(self._trailers(call))
            return response
        try:
            await context.abort(*end)
        except grpc.aio.AbortError as aborted:
            # grpc.aio keeps it on the call and raises it again itself. With a traceback it would hold this frame, and
            # so the call, until the next garbage collection; and a connection has room for only so many ended calls.
            aborted.__traceback__ = None
        return None

    def _trailers(self, call: Call) -> Trailers:
        standing = None if call.principal is None else self._tightest(call.principal)
        if standing is None:
            return ((CALL_ID, call.call_id),)
        return (
            (CALL_ID, call.call_id),
            (RATE_LIMIT, str(standing.most)),
            (RATE_REMAINING, str(standing.remaining)),
            (RATE_RESET, str(standing.resets_at_us // 1_000_000)),
        )


def _end_of(call: Call, raised: Exception, trailers: Trailers) -> tuple[grpc.StatusCode, str, Trailers]:
    error = cohort_error_of(raised)
    if error is None:
        _log.error("unforeseen", call_id=call.call_id, rpc=call.rpc, exc_info=raised)
        return grpc.StatusCode.INTERNAL, "Internal error", trailers
    # One abort with everything: abort_with_status would drop our trailers.
    return error.code, error.message, (*trailers, (STATUS_DETAILS, status_of(error).SerializeToString()))

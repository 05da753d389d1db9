"""Outermost: turns what a call raised into its status.

It stands outside the audit, because sending the status is sending the answer: `abort` must come after the record.
Anything unforeseen becomes a bare INTERNAL; its text and trace go to the log alone.
"""

import grpc
import structlog
from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.interceptors.chain import Proceed
from service.status import cohort_error_of, status_of

CALL_ID = "x-call-id"
STATUS_DETAILS = "grpc-status-details-bin"

_log = structlog.get_logger()


class ErrorInterceptor:
    """Sends statuses and the trailers that stand on every answer."""

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`."""
        trailers: tuple[tuple[str, str | bytes], ...] = ((CALL_ID, call.call_id),)
        try:
            response = await proceed(call, context)
        except Exception as raised:
            error = cohort_error_of(raised)
            if error is None:
                _log.error("unforeseen", call_id=call.call_id, rpc=call.rpc, exc_info=raised)
                await context.abort(grpc.StatusCode.INTERNAL, "Internal error", trailers)
            details = status_of(error).SerializeToString()
            # One abort with everything: abort_with_status would drop our trailers.
            await context.abort(error.code, error.message, (*trailers, (STATUS_DETAILS, details)))
        context.set_trailing_metadata(trailers)
        return response

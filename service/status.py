"""An exception → the status the caller gets; the one place where that is decided."""

import asyncio
from typing import NamedTuple

from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from clients.errors import UpstreamError
from clients.pacing.errors import PaceLost, PacingError
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.error_reason_pb2 import ErrorReason
from service.book_refusals import refusal_of
from service.books.errors import BooksError
from service.errors import CohortError, Refused
from service.pacing import refusals as pacing_refusals
from service.policy import PolicyDenied

DOMAIN = "cohort"

# Cohere's 429 names no wait; its windows are minutes, and a caller that waits this long sees most of them pass.
_RATE_LIMITED_WAIT_S = 5.0


class Outcome(NamedTuple):
    """How a call ended, as log, metrics and spans name it."""

    code: str
    reason: str


OK = Outcome("OK", "")
CANCELLED = Outcome("CANCELLED", "")


def outcome_of(error: BaseException | None) -> Outcome:
    """Names the end of a call by what it raised, None for success."""
    if error is None:
        return OK
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED
    known = cohort_error_of(error)
    return Outcome(known.code.name, reason_name(known.reason)) if known else Outcome("INTERNAL", "")


def cohort_error_of(error: BaseException) -> CohortError | None:
    """Translates what the layers below raise; None for anything unforeseen."""
    match error:
        case CohortError():
            return error
        case PolicyDenied():
            return Refused(error.reason, error.message, error.metadata, field=error.field)
        case BooksError():
            return refusal_of(error)
        case PacingError() | PaceLost():
            return pacing_refusals.refusal_of(error)
        case UpstreamError():
            return _of_upstream(error)
        case _:
            return None


def status_of(error: CohortError) -> status_pb2.Status:
    """Builds the rich status of an error (google.rpc.Status, AIP-193)."""
    info = error_details_pb2.ErrorInfo(reason=reason_name(error.reason), domain=DOMAIN, metadata=error.metadata)
    code: int = error.code.value[0]
    status = status_pb2.Status(code=code, message=error.message)
    for detail in (info, *error.details()):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def reason_name(reason: ErrorReason.ValueType) -> str:
    """The reason as it stands in ErrorInfo, log and metrics: without the enum's prefix."""
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")


def _of_upstream(error: UpstreamError) -> Refused:
    metadata: dict[str, str] = {}
    if error.status is not None:
        metadata["cohere_status"] = str(error.status)
    if error.error_type:
        metadata["cohere_error_type"] = error.error_type[:100]
    if error.debug_trace_id:
        metadata["cohere_debug_trace_id"] = error.debug_trace_id[:100]
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.reason == reasons.ERROR_REASON_COHERE_RATE_LIMITED:
        # Cohere's 429 names no wait; its windows are minutes, so anything shorter is a guess we keep small.
        retry_after_s = _RATE_LIMITED_WAIT_S
    return Refused(error.reason, error.message, metadata, retry_after_s=retry_after_s)

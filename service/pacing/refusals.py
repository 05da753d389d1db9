"""Why an attempt gets no turn → the refusal that the caller gets."""

from clients.pacing.errors import PaceLost, PacingError, RequestExceedsRate, UpstreamBusy
from cohort.v1 import error_reason_pb2 as reasons
from service.book_refusals import refusal_of as book_refusal_of
from service.books.errors import BooksUnavailable
from service.errors import Refused


def refusal_of(error: PacingError | PaceLost) -> Refused | None:
    """Translates what the pacer raises."""
    match error:
        case UpstreamBusy():
            return _busy(error)
        case RequestExceedsRate():
            metadata = {
                "limit_name": error.limit_name, "limit": str(error.limit), "asked": str(error.amount),
            }  # fmt: skip
            message = (
                f"the request counts for {error.amount} in Cohere's limit {error.limit_name}, which allows "
                f"{error.limit} a minute: send less at once"
            )
            return Refused(reasons.ERROR_REASON_REQUEST_EXCEEDS_RATE, message, metadata)
        case PaceLost():  # the turns are in the database of the books, which could not take the hold either
            return book_refusal_of(BooksUnavailable(str(error)))
        case _:
            return None


def _busy(error: UpstreamBusy) -> Refused:
    metadata = {"limit_name": error.limit_name, "limit": str(error.limit), "wait_ms": str(error.wait_ms)}
    message = (
        f"the team's Cohere key is used as fast as Cohere allows ({error.limit_name}: {error.limit} a minute), "
        f"and the turn of this call comes in {error.wait_ms / 1000:g} s, too late for its deadline"
    )
    reason = reasons.ERROR_REASON_UPSTREAM_BUSY
    return Refused(reason, message, metadata, retry_after_s=error.wait_ms / 1000)

"""What the books refuse → the refusal that the caller gets. Every amount in it is text in dollars."""

import datetime
import time

from cohort.v1 import error_reason_pb2 as reasons
from service.books.errors import (
    AdjustmentBelowZero,
    BooksError,
    BooksUnavailable,
    BudgetInFlight,
    BudgetShort,
    CredentialNotActive,
    CredentialUnknown,
    HoldExceedsLimit,
    ModelNotPriced,
    RequestIdReused,
    RotationUnderWay,
    TeamFrozen,
    TeamUnknown,
)
from service.errors import Refused
from service.money import usd_of

_IN_FLIGHT_WAIT_S = 2.0
"""Most calls have ended by then, and what they did not use is free again."""

_ROTATION_WAIT_S = 5.0
"""Most rotations are in use, or have failed, by then."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def refusal_of(error: BooksError) -> Refused | None:
    """Translates what the books raise; None for anything that is not listed there."""
    match error:
        case BudgetShort():
            return _budget_short(error)
        case BooksUnavailable():
            metadata = {"budget": error.budget_id} if error.budget_id else {}
            message = "the books cannot be written or read, and what cannot be written down is not served"
            return Refused(reasons.ERROR_REASON_BOOKS_UNAVAILABLE, message, metadata, retry_after_s=error.retry_after_s)
        case HoldExceedsLimit() | ModelNotPriced() | TeamFrozen():
            return _not_payable(error)
        case TeamUnknown() | AdjustmentBelowZero() | RequestIdReused():
            return _not_done(error)
        case CredentialUnknown() | CredentialNotActive():
            return _of_no_use(error)
        case RotationUnderWay():
            return _rotation_under_way(error)
        case _:
            return None


def rfc3339_of(at_us: int) -> str:
    """A time as text, such as "2026-11-22T00:00:00Z"; *at_us* is µs since the epoch."""
    return (_EPOCH + datetime.timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")


def _budget_short(error: BudgetShort) -> Refused:
    resets_at = rfc3339_of(error.resets_at_us)
    limit, available, hold = map(usd_of, (error.limit_nanos, error.available_nanos, error.hold_nanos))
    metadata = {
        "budget": error.budget_id,
        "limit_usd": limit,
        "spent_usd": usd_of(error.spent_nanos),
        "held_usd": usd_of(error.held_nanos),
        "available_usd": available,
        "hold_usd": hold,
        "resets_at": resets_at,
    }
    figures = f"${available} of ${limit} are left, and the call could cost ${hold}"
    if isinstance(error, BudgetInFlight):
        reason, retry_after_s = reasons.ERROR_REASON_BUDGET_IN_FLIGHT, _IN_FLIGHT_WAIT_S
        message = f"the budget of team {error.budget_id} is held by calls under way: {figures}"
    else:
        reason, retry_after_s = reasons.ERROR_REASON_BUDGET_SPENT, max(0.0, error.resets_at_us / 1e6 - time.time())
        message = f"the budget of team {error.budget_id} is spent until {resets_at}: {figures}"
    return Refused(reason, message, metadata, retry_after_s=retry_after_s, quota_subject=f"team:{error.budget_id}")


def _not_payable(error: HoldExceedsLimit | ModelNotPriced | TeamFrozen) -> Refused:
    metadata = {"budget": error.budget_id}
    match error:
        case HoldExceedsLimit():
            limit, hold = usd_of(error.limit_nanos), usd_of(error.hold_nanos)
            metadata |= {"limit_usd": limit, "hold_usd": hold}
            message = f"the call could cost ${hold}, and team {error.budget_id} may spend ${limit} in a whole day"
            return Refused(reasons.ERROR_REASON_HOLD_EXCEEDS_LIMIT, message, metadata)
        case ModelNotPriced():
            metadata |= {"model": error.model, "price_book_version": error.price_version}
            message = (
                f"the price book {error.price_version} has no price for this model, so its cost cannot be bounded; "
                "operators: add one to the file that books.prices names"
            )
            return Refused(reasons.ERROR_REASON_MODEL_NOT_PRICED, message, metadata, field="model")
        case TeamFrozen():
            message = f"team {error.budget_id} is frozen: nothing new is paid for until an operator lets it go"
            return Refused(reasons.ERROR_REASON_TEAM_FROZEN, message, metadata)


def _not_done(error: TeamUnknown | AdjustmentBelowZero | RequestIdReused) -> Refused:
    match error:
        case TeamUnknown():
            metadata = {"team": error.team}
            return Refused(reasons.ERROR_REASON_TEAM_UNKNOWN, "there is no such team", metadata, field="team")
        case AdjustmentBelowZero():
            amount, spent, held = map(usd_of, (error.amount_nanos, error.spent_nanos, error.held_nanos))
            metadata = {"budget": error.budget_id, "amount_usd": amount, "spent_usd": spent, "held_usd": held}
            message = f"team {error.budget_id} has spent ${spent} in that day: no more than this can be given back"
            return Refused(reasons.ERROR_REASON_ADJUSTMENT_BELOW_ZERO, message, metadata, field="amount")
        case RequestIdReused():
            message = "this request_id belongs to another request, or to one of more than a day ago"
            metadata = {"request_id": error.request_id}
            return Refused(reasons.ERROR_REASON_REQUEST_ID_REUSED, message, metadata, field="request_id")


def _of_no_use(error: CredentialUnknown | CredentialNotActive) -> Refused:
    match error:
        case CredentialUnknown():
            metadata = {"id": error.id}
            return Refused(reasons.ERROR_REASON_CREDENTIAL_UNKNOWN, "nothing has this id", metadata, field="id")
        case CredentialNotActive():
            metadata = {"id": error.id, "state": error.state}
            message = f"the access key is {error.state.lower()}, so that nothing can take its place"
            return Refused(reasons.ERROR_REASON_CREDENTIAL_NOT_ACTIVE, message, metadata, field="id")


def _rotation_under_way(error: RotationUnderWay) -> Refused:
    message = f"another rotation of the Cohere key of team {error.team} is under way: {error.rotation_id}"
    metadata = {"team": error.team, "rotation": error.rotation_id}
    return Refused(reasons.ERROR_REASON_ROTATION_UNDER_WAY, message, metadata, retry_after_s=_ROTATION_WAIT_S)

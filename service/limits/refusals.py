"""The refusals of limits, as the caller gets them."""

from cohort.v1 import error_reason_pb2 as reasons
from service.book_refusals import rfc3339_of
from service.errors import Refused
from service.limits.limit import Limit
from service.limits.windows import Window

CLOCKS_MARGIN_S = 0.05
"""Added to what a caller is told to wait: a replica's clock follows the database's, and is never ahead of it."""
IN_FLIGHT_WAIT_S = 1.0
"""Many a call has ended by then; nobody knows of any when it will."""
IN_FLIGHT = "in_flight"


def rate_limited(limit: Limit, window: Window, wait_us: int) -> Refused:
    """All of a limit is taken.

    Args:
        limit: Which one.
        window: When it was taken.
        wait_us: How long it takes until the caller finds room.
    """
    resets_at = rfc3339_of(window.end_us)
    what = limit.name.replace("_", " ")
    message = f"all of the {limit.most:,} {what} of {limit.holder} are used until {resets_at}"
    by_day = limit.zone is not None
    reason = reasons.ERROR_REASON_RATE_LIMITED_DAY if by_day else reasons.ERROR_REASON_RATE_LIMITED_MINUTE
    return Refused(
        reason,
        message,
        {"limit_name": limit.name, "limit": str(limit.most), "resets_at": resets_at},
        retry_after_s=max(0, wait_us) / 1e6 + CLOCKS_MARGIN_S,
        quota_subject=limit.holder,
    )


def exceeds_rate(limit: Limit, asked: int) -> Refused:
    """A call counts for more than a whole window allows."""
    what = limit.name.replace("_", " ")
    message = f"the request counts for {asked:,} where {limit.holder} may have {limit.most:,} {what}: send less at once"
    metadata = {"limit_name": limit.name, "limit": str(limit.most), "asked": str(asked)}
    return Refused(reasons.ERROR_REASON_REQUEST_EXCEEDS_RATE, message, metadata)


def too_many_in_flight(whose: str, most: int) -> Refused:
    """As many calls are under way as may be.

    Args:
        whose: The cap's holder: `team:search`, or `server`.
        most: The cap.
    """
    return Refused(
        reasons.ERROR_REASON_TOO_MANY_IN_FLIGHT,
        f"{most:,} calls of {whose} are under way on this replica, and no more may be",
        {"limit_name": IN_FLIGHT, "limit": str(most)},
        retry_after_s=IN_FLIGHT_WAIT_S,
        quota_subject=whose,
    )

"""Times as a verification compares and tells them."""

import datetime

from service.books.checkpointer import COMMIT_LAG_US

__all__ = ["COMMIT_LAG_US", "OVERDUE_US", "utc"]

OVERDUE_US = 26 * 3_600_000_000
"""After so long every attempt has ended, or was forfeited if some process of the service was there to do it: no
deadline is longer than 15 minutes, no config allows more than a day of draining, and an hour is left for the rest."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def utc(at_us: int) -> str:
    """A time for people; as a number if no calendar has it."""
    try:
        return (_EPOCH + datetime.timedelta(microseconds=at_us)).isoformat(timespec="microseconds")
    except OverflowError:
        return f"{at_us} µs"

"""The windows in which calls are counted: the UTC minute and the budget's day, half-open ranges of instants. Pure."""

from typing import TypeAlias
from zoneinfo import ZoneInfo

from service.books.period import Period, period_at

Window: TypeAlias = Period

MINUTE_US = 60_000_000


def window_at(zone: ZoneInfo | None, at_us: int) -> Window:
    """The window that contains an instant.

    Args:
        zone: Where the day is meant; None for the UTC minute.
        at_us: µs since the epoch.
    """
    if zone is not None:
        return period_at(zone, at_us)
    start_us = at_us - at_us % MINUTE_US
    return Window(start_us, start_us + MINUTE_US)

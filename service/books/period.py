"""The day of a budget: from one local midnight to the next, as a half-open range of instants. Pure.

A day begins when the local clock first shows its date or a later one. So the clock may go back over a midnight
(as in St John's until 2011) without the old day coming back, skip midnight (Beirut) or a whole date (Apia, which
went from Thursday to Saturday), and days still tile all of time: each instant lies in exactly one.
"""

import datetime
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_SECOND_US = 1_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ONE_DAY = datetime.timedelta(days=1)
_ZONES_KEPT = 1_000
"""There are 600 names of zones."""


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open range of instants, in µs since the epoch."""

    start_us: int
    end_us: int

    def __contains__(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us


def period_at(zone: ZoneInfo, at_us: int) -> Period:
    """The local day that contains an instant: 23, 24 or 25 hours long, in a few places something else.

    Args:
        zone: Where the day is meant.
        at_us: µs since the epoch.

    Raises:
        OverflowError: The day is not within the years 1 to 9999.
    """
    last = _last_of.get(zone)
    if last is not None and at_us in last:
        return last
    if len(_last_of) >= _ZONES_KEPT:
        _last_of.clear()
    period = _last_of[zone] = _computed(zone, at_us)
    return period


_last_of: dict[ZoneInfo, Period] = {}
"""What was asked last for each zone: it is asked for at every call, and changes once a day."""


def _computed(zone: ZoneInfo, at_us: int) -> Period:
    at_s = at_us // _SECOND_US
    date = _local(zone, at_s).date()
    end_s = _start_s(zone, date + _ONE_DAY)
    while end_s <= at_s:  # the clock has gone back over a midnight
        date += _ONE_DAY
        end_s = _start_s(zone, date + _ONE_DAY)
    return Period(_start_s(zone, date) * _SECOND_US, end_s * _SECOND_US)


def _start_s(zone: ZoneInfo, date: datetime.date) -> int:
    """When the local clock first shows *date* or a later one; seconds since the epoch, as zones change on those."""
    midnight = datetime.datetime.combine(date, datetime.time(), zone)
    # As PEP 495 has it: of a midnight that comes twice `fold` tells which; of one that is skipped, 0 counts by the
    # offset before the gap and gives an instant behind it, 1 one before it.
    first_s, other_s = _instant_s(midnight), _instant_s(midnight.replace(fold=1))
    if first_s <= other_s:
        return first_s
    before_s, from_s = other_s - 1, first_s
    while from_s - before_s > 1:
        middle_s = (before_s + from_s) // 2
        if _local(zone, middle_s).date() < date:
            before_s = middle_s
        else:
            from_s = middle_s
    return from_s


def _instant_s(local: datetime.datetime) -> int:
    since = local.astimezone(datetime.UTC) - _EPOCH
    return since.days * 86_400 + since.seconds


def _local(zone: ZoneInfo, at_s: int) -> datetime.datetime:
    return (_EPOCH + datetime.timedelta(seconds=at_s)).astimezone(zone)

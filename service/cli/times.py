"""Points in time on the command line: as people write them, and as they are shown."""

import argparse
import datetime
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from service.books.period import period_at

UTC = ZoneInfo("UTC")


def written(text: str) -> datetime.datetime:
    """An argument that is a day or a time, without a zone if none is written."""
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is no day such as 2026-11-21 and no time such as 2026-11-21T09:15 or 2026-11-21T09:15Z"
        ) from None


def day(text: str) -> datetime.date:
    """An argument that is a day."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no day such as 2026-11-21") from None


def timestamp(moment: datetime.datetime, zone: ZoneInfo) -> Timestamp:
    """A written time as a point in time; one without a zone is meant in *zone*, where midnight begins the day."""
    stamp = Timestamp()
    stamp.FromDatetime((moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(datetime.UTC))
    if moment.tzinfo is None and moment.time() == datetime.time():
        # In some places the clock skips midnight now and then: what begins a day is said by the budget.
        stamp.FromMicroseconds(period_at(zone, stamp.ToMicroseconds()).start_us)
    return stamp


def told(stamp: Timestamp, zone: ZoneInfo = UTC) -> str:
    """A point in time to the minute, with its zone."""
    return f"{local(stamp, zone):%Y-%m-%d %H:%M} {zone.key}"


def local(stamp: Timestamp, zone: ZoneInfo) -> datetime.datetime:
    """A point in time on the clocks of a zone."""
    return stamp.ToDatetime(datetime.UTC).astimezone(zone)

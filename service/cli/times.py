"""Points in time on the command line: as people write them, and as they are shown."""

import argparse
import datetime
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

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
    """A written time as a point in time; one without a zone is meant in *zone*."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    stamp = Timestamp()
    stamp.FromDatetime(aware.astimezone(datetime.UTC))
    return stamp


def told(stamp: Timestamp, zone: ZoneInfo = UTC) -> str:
    """A point in time to the minute, with its zone."""
    return f"{local(stamp, zone):%Y-%m-%d %H:%M} {zone.key}"


def local(stamp: Timestamp, zone: ZoneInfo) -> datetime.datetime:
    """A point in time on the clocks of a zone."""
    return stamp.ToDatetime(datetime.UTC).astimezone(zone)

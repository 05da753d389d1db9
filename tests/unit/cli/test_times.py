"""Points in time as they are written and shown."""

import argparse
import datetime
from zoneinfo import ZoneInfo

import pytest

from service.cli.times import day, timestamp, told, written
from tests.unit.cli.usage_answers import at


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-11-21", "UTC", "2026-11-21T00:00Z"),
        ("2026-11-21", "Europe/Berlin", "2026-11-20T23:00Z"),
        ("2026-11-21T09:15", "Asia/Kathmandu", "2026-11-21T03:30Z"),
        ("2026-11-21T09:15Z", "Asia/Kathmandu", "2026-11-21T09:15Z"),
        ("2026-11-21T09:15+01:00", "UTC", "2026-11-21T08:15Z"),
        ("2026-03-29", "Asia/Beirut", "2026-03-28T22:00Z"),
        ("1992-08-02", "Europe/London", "1992-08-01T23:00Z"),
        ("1919-03-31", "America/Toronto", "1919-03-31T04:30Z"),
    ],
)
def test_a_written_time_is_one_point_in_time(text: str, zone: str, instant: str) -> None:
    assert timestamp(written(text), ZoneInfo(zone)) == at(instant)


def test_a_point_in_time_is_shown_on_the_clocks_of_a_zone() -> None:
    assert told(at("2026-11-20T23:00Z"), ZoneInfo("Europe/Berlin")) == "2026-11-21 00:00 Europe/Berlin"
    assert told(at("2026-11-20T23:00Z")) == "2026-11-20 23:00 UTC"


@pytest.mark.parametrize("text", ["", "today", "21.11.2026", "2026-13-01", "2026-11-21T25:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no day such as 2026-11-21 and no time"):
        written(text)


def test_a_day_has_no_time() -> None:
    assert day("2026-11-21") == datetime.date(2026, 11, 21)
    with pytest.raises(argparse.ArgumentTypeError, match="is no day"):
        day("2026-11-21T00:00")

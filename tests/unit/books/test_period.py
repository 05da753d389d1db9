"""Days held against a plain scan of the local clock, minute by minute, which knows nothing of offsets and folds."""

import datetime
import zoneinfo
from bisect import bisect_right
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.books import period
from service.books.period import Period, period_at

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
QUARTER_US = 15 * MINUTE_S * 1_000_000
ODD_ZONES = (
    "Africa/Cairo", "Africa/Casablanca", "America/Argentina/San_Luis", "America/Asuncion", "America/Caracas",
    "America/Havana", "America/Nuuk", "America/Sao_Paulo", "America/Scoresbysund", "America/St_Johns",
    "Antarctica/Troll", "Asia/Amman", "Asia/Beirut", "Asia/Damascus", "Asia/Gaza", "Asia/Kathmandu", "Asia/Pyongyang",
    "Asia/Tehran", "Atlantic/Azores", "Australia/Eucla", "Australia/Lord_Howe", "Etc/GMT+12", "Etc/GMT-14",
    "Europe/Dublin", "Europe/Volgograd", "Pacific/Apia", "Pacific/Chatham", "Pacific/Fakaofo", "Pacific/Kiritimati",
    "Pacific/Kwajalein", "Pacific/Norfolk", "UTC",
)  # fmt: skip
EVERY_ZONE = sorted(zoneinfo.available_timezones())
AT_S = st.integers(946_684_800, 1_893_456_000)  # 2000 to 2030


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp())


def starts_seen(zone: ZoneInfo, from_s: int, to_s: int) -> list[int]:
    """The minutes at which a clock on the wall first shows a date later than all before."""
    latest, seen = 0, []
    for at_s in range(from_s - 2 * DAY_S, to_s, MINUTE_S):
        day = datetime.datetime.fromtimestamp(at_s, zone).toordinal()
        if day > latest:
            latest = day
            seen.append(at_s)
    return [at_s for at_s in seen if at_s >= from_s]


def days(zone: ZoneInfo, from_s: int, to_s: int) -> Iterator[Period]:
    day = period_at(zone, from_s * 1_000_000)
    while day.start_us < to_s * 1_000_000:
        yield day
        day = period_at(zone, day.end_us)


def assert_days_are_as_seen(name: str, from_s: int, to_s: int, *, step_s: int) -> None:
    """Compares the days of a stretch of time, and asks every *step_s* which of them it is."""
    zone = ZoneInfo(name)
    expected = [at_s * 1_000_000 for at_s in starts_seen(zone, from_s, to_s)]
    found = [day.start_us for day in days(zone, from_s, to_s) if day.start_us >= from_s * 1_000_000]

    assert found == expected
    for at_s in range(expected[0] // 1_000_000, expected[-1] // 1_000_000, step_s):
        start_us = expected[bisect_right(expected, at_s * 1_000_000) - 1]
        period._last_of.clear()
        assert period_at(zone, at_s * 1_000_000).start_us == start_us


@pytest.mark.parametrize(
    ("name", "instant", "start", "end", "hours"),
    [
        ("UTC", "2026-11-21T12:00Z", "2026-11-21T00:00Z", "2026-11-22T00:00Z", 24),
        ("Etc/GMT-14", "2026-11-21T09:59Z", "2026-11-20T10:00Z", "2026-11-21T10:00Z", 24),
        ("Etc/GMT+12", "2026-11-21T12:00Z", "2026-11-21T12:00Z", "2026-11-22T12:00Z", 24),
        ("Europe/Berlin", "2026-03-29T12:00Z", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00Z", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", 25),
        ("Australia/Lord_Howe", "2025-04-06T00:00Z", "2025-04-06T00:00+11:00", "2025-04-07T00:00+10:30", 24.5),
        # Midnight comes twice, then not at all.
        ("America/Havana", "2025-11-02T04:30Z", "2025-11-02T00:00-04:00", "2025-11-03T00:00-05:00", 25),
        ("America/Havana", "2025-11-02T05:30Z", "2025-11-02T00:00-04:00", "2025-11-03T00:00-05:00", 25),
        ("Asia/Beirut", "2025-03-29T22:00Z", "2025-03-30T01:00+03:00", "2025-03-31T00:00+03:00", 23),
        ("America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03T00:00-03:00", "2018-11-04T00:00-03:00", 24),
        ("America/Sao_Paulo", "2018-11-04T03:00Z", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00", 23),
        # The last hour of a day comes twice, or not at all.
        ("America/Sao_Paulo", "2018-02-18T02:30Z", "2018-02-17T00:00-02:00", "2018-02-18T00:00-03:00", 25),
        ("America/Scoresbysund", "2025-10-26T01:30Z", "2025-10-25T00:00-01:00", "2025-10-26T00:00-02:00", 25),
        ("America/Scoresbysund", "2025-03-30T00:30Z", "2025-03-29T00:00-02:00", "2025-03-30T00:00-01:00", 23),
        # A minute past midnight the clock goes back to the day before: that hour stays with the new day.
        ("America/St_Johns", "2010-11-07T02:30:30Z", "2010-11-07T00:00-02:30", "2010-11-08T00:00-03:30", 25),
        ("America/St_Johns", "2010-11-07T03:00Z", "2010-11-07T00:00-02:30", "2010-11-08T00:00-03:30", 25),
        # Half an hour before midnight the clock goes on to the next day.
        ("Asia/Pyongyang", "2018-05-04T15:00Z", "2018-05-05T00:00+09:00", "2018-05-06T00:00+09:00", 24),
        ("America/Toronto", "1919-03-31T04:40Z", "1919-03-31T00:30-04:00", "1919-04-01T00:00-04:00", 23.5),
        ("America/Toronto", "1919-03-31T04:29:59Z", "1919-03-30T00:00-05:00", "1919-03-31T00:30-04:00", 23.5),
        # 30 December 2011 was no day in Samoa, 21 August 1993 none on Kwajalein.
        ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00", 24),
        ("Pacific/Apia", "2011-12-30T10:00Z", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00", 24),
        ("Pacific/Kwajalein", "1993-08-21T00:00Z", "1993-08-20T00:00-12:00", "1993-08-22T00:00+12:00", 24),
        # The other way round: 30 September 1969 came twice there, and is one day of 47 hours.
        ("Pacific/Kwajalein", "1969-10-01T00:00Z", "1969-09-30T00:00+11:00", "1969-10-01T00:00-12:00", 47),
    ],
)
def test_a_day_goes_from_midnight_to_midnight_of_the_local_clock(
    name: str, instant: str, start: str, end: str, hours: float
) -> None:
    period._last_of.clear()
    day = period_at(ZoneInfo(name), at(instant) * 1_000_000)

    assert day == Period(at(start) * 1_000_000, at(end) * 1_000_000)
    assert day.end_us - day.start_us == hours * HOUR_S * 1_000_000


@given(st.sampled_from(ODD_ZONES), AT_S, st.integers(0, 999_999))
@example("America/St_Johns", at("2010-11-07T03:00Z"), 0)
def test_each_microsecond_lies_in_exactly_one_day(name: str, at_s: int, rest_us: int) -> None:
    zone, at_us = ZoneInfo(name), at_s * 1_000_000 + rest_us
    period._last_of.clear()
    day = period_at(zone, at_us)

    assert day.start_us <= at_us < day.end_us
    assert period_at(zone, day.start_us) == period_at(zone, day.end_us - 1) == day
    assert period_at(zone, day.start_us - 1).end_us == day.start_us
    assert period_at(zone, day.end_us).start_us == day.end_us


@given(st.lists(st.tuples(st.sampled_from(ODD_ZONES), st.integers(0, 2**51)), min_size=1, max_size=20))
def test_what_was_asked_before_changes_no_answer(asked: list[tuple[str, int]]) -> None:
    for name, at_us in asked:
        answer = period_at(ZoneInfo(name), at_us)
        period._last_of.clear()

        assert period_at(ZoneInfo(name), at_us) == answer


def test_any_number_of_zones_may_be_asked_for() -> None:
    for _ in range(3 * period._ZONES_KEPT):
        assert period_at(ZoneInfo.no_cache("Asia/Kathmandu"), 0).start_us == -(5 * HOUR_S + 30 * MINUTE_S) * 1_000_000

    assert len(period._last_of) <= period._ZONES_KEPT


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("America/Asuncion", "2023-10-01T04:00Z"),
        ("America/Havana", "2025-11-02T04:00Z"),
        ("America/Havana", "2025-03-09T05:00Z"),
        ("America/Nuuk", "2025-10-26T01:00Z"),
        ("America/Sao_Paulo", "2018-11-04T03:00Z"),
        ("America/Scoresbysund", "2024-03-31T01:00Z"),
        ("America/St_Johns", "2010-11-07T02:30Z"),
        ("Asia/Amman", "2021-10-29T00:00Z"),
        ("Asia/Gaza", "2010-03-26T22:00Z"),
        ("Asia/Pyongyang", "2015-08-14T15:00Z"),
        ("Asia/Tehran", "2022-03-21T20:30Z"),
        ("Atlantic/Azores", "2025-10-26T01:00Z"),
        ("Australia/Lord_Howe", "2025-10-05T15:30Z"),
        ("Pacific/Apia", "2011-12-30T10:00Z"),
    ],
)
def test_days_around_a_change_of_the_clock_are_those_a_clock_on_the_wall_shows(name: str, around: str) -> None:
    assert_days_are_as_seen(name, at(around) - 3 * DAY_S, at(around) + 3 * DAY_S, step_s=MINUTE_S)


@pytest.mark.prove
@pytest.mark.parametrize("begin", ["2010-09-01T00:00Z", "2024-03-01T00:00Z"])
@pytest.mark.parametrize("name", sorted({*ODD_ZONES, *EVERY_ZONE[::20]}))
def test_400_days_are_those_a_clock_on_the_wall_shows(name: str, begin: str) -> None:
    assert_days_are_as_seen(name, at(begin), at(begin) + 400 * DAY_S, step_s=HOUR_S // 2)


def quarters_missed(names: list[str], begin: str, end: str) -> list[str]:
    """Starts of days, within these years, that no rollup of 15 minutes begins with."""
    return [
        f"{name}: {day}"
        for name in names
        for day in days(ZoneInfo(name), at(begin), at(end))
        if day.start_us % QUARTER_US
    ]


def test_days_begin_on_a_quarter_hour() -> None:
    assert quarters_missed(EVERY_ZONE, "2010-10-20T00:00Z", "2010-11-20T00:00Z") == []
    assert quarters_missed(list(ODD_ZONES), "2011-03-01T00:00Z", "2012-03-01T00:00Z") == []


@pytest.mark.prove
def test_days_of_every_zone_begin_on_a_quarter_hour_since_2000() -> None:
    assert quarters_missed(EVERY_ZONE, "2000-01-01T00:00Z", "2038-01-01T00:00Z") == []


def test_zones_are_known_where_the_system_knows_none() -> None:
    paths = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=())
    try:
        assert period_at(ZoneInfo.no_cache("Asia/Kathmandu"), 0).end_us == (18 * HOUR_S + 30 * MINUTE_S) * 1_000_000
    finally:
        zoneinfo.reset_tzpath(to=paths)

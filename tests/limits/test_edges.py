"""Where one window ends and the next begins, to the microsecond; days of other lengths than 24 hours too."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cohort.v1 import error_reason_pb2 as reasons
from service.limits.decision import Stock
from service.limits.limit import Limit, TeamLimits
from service.limits.refusals import CLOCKS_MARGIN_S
from service.limits.windows import window_at
from tests.books.scripted import Scene, in_simulated_time
from tests.limits.replicas import Replica, replica_on, team_limits, wait_s

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 7
HOURS = {
    ("UTC", "2026-11-21"): 24.0,
    ("Europe/Berlin", "2026-03-29"): 23.0,
    ("Europe/Berlin", "2026-10-25"): 25.0,
    ("Australia/Lord_Howe", "2026-10-04"): 23.5,
    ("Australia/Lord_Howe", "2026-04-05"): 24.5,
    ("America/Havana", "2026-03-08"): 23.0,  # its clocks skip midnight
}


class Clock:
    """One for all replicas."""

    us = 0

    def now_us(self) -> int:
        return self.us


def midnight_us(zone: ZoneInfo, day: date) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - EPOCH) // timedelta(microseconds=1)


async def three(limits: TeamLimits, clock: Clock) -> list[Replica]:
    database = (await Scene.new()).database
    return [await replica_on(database, limits, clock.now_us) for _ in range(3)]


async def admitted(replicas: list[Replica]) -> int:
    """How many of more calls than there are permits."""
    return [await replica.asks() for _ in range(MOST) for replica in replicas].count(None)


@pytest.mark.parametrize(("zone", "day"), HOURS)
def test_a_day_is_one_window_from_its_first_microsecond_to_its_last(zone: str, day: str) -> None:
    @in_simulated_time
    async def story() -> None:
        place, date_of = ZoneInfo(zone), date.fromisoformat(day)
        begin_us, end_us = (midnight_us(place, date_of + timedelta(days=number)) for number in (0, 1))
        clock = Clock()
        clock.us = begin_us - 1
        replicas = await three(team_limits(day=MOST, zone=place), clock)
        counts = []
        for at_us in (begin_us - 1, begin_us, (begin_us + end_us) // 2, end_us - 1, end_us):
            clock.us = at_us
            counts.append(await admitted(replicas))
        clock.us = end_us - 1
        print(f"{zone} {day}: {(end_us - begin_us) / 3.6e9:g} hours, {counts} admitted around its edges")

        assert counts == [MOST, MOST, 0, 0, MOST]
        assert (end_us - begin_us) / 3.6e9 == HOURS[zone, day]

    story()


@in_simulated_time
async def test_a_minute_is_one_window_from_its_first_microsecond_to_its_last() -> None:
    clock = Clock()
    begin_us = midnight_us(ZoneInfo("UTC"), date(2026, 11, 21))
    clock.us = begin_us - 1
    replicas = await three(team_limits(minute=MOST), clock)
    counts = []
    for at_us in (begin_us - 1, begin_us, begin_us + 59_999_999, begin_us + 60_000_000):
        clock.us = at_us
        counts.append(await admitted(replicas))

    assert counts == [MOST, MOST, 0, MOST]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (team_limits(minute=1), reasons.ERROR_REASON_RATE_LIMITED_MINUTE),
        (team_limits(day=1), reasons.ERROR_REASON_RATE_LIMITED_DAY),
    ],
)
def test_who_is_refused_in_the_last_microsecond_waits_for_the_next_one(
    limits: TeamLimits, reason: reasons.ErrorReason.ValueType
) -> None:
    @in_simulated_time
    async def story() -> None:
        clock = Clock()
        clock.us = midnight_us(ZoneInfo("UTC"), date(2026, 11, 22)) - 1
        replica, _, other = await three(limits, clock)
        assert await replica.asks() is None
        refused = await other.asks()

        assert refused is not None
        assert refused.reason == reason
        assert CLOCKS_MARGIN_S < wait_s(refused) <= CLOCKS_MARGIN_S + 0.001
        clock.us += round(wait_s(refused) * 1e6)
        assert await other.asks() is None

    story()


def test_what_is_read_of_a_day_that_has_ended_meanwhile_says_nothing_of_the_next() -> None:
    zone = ZoneInfo("UTC")
    day = window_at(zone, midnight_us(zone, date(2026, 11, 21)))
    stock = Stock(Limit("team:search", "requests_per_day", MOST, zone), day, MOST)
    stock.roll(day.end_us)
    stock.learns(day, MOST)
    assert stock.remaining == MOST

    stock.learns(stock.window, MOST - 1)
    assert stock.remaining == 1


@in_simulated_time
async def test_of_a_minute_and_a_day_that_are_both_used_up_the_day_is_named() -> None:
    database = (await Scene.new()).database
    replica = await replica_on(database, team_limits(minute=2, day=2), database._now_us)
    refused = [await replica.asks() for _ in range(3)][-1]

    assert refused is not None
    assert refused.reason == reasons.ERROR_REASON_RATE_LIMITED_DAY
    assert refused.metadata["limit_name"] == "requests_per_day"
    assert wait_s(refused) > 60

"""The narrower limits of access keys: counted beside their team's, for all keys that took each other's place as one."""

import dataclasses
from datetime import datetime, time
from zoneinfo import ZoneInfo

from google.rpc import error_details_pb2

from cohort.v1 import error_reason_pb2 as reasons
from service.errors import Refused
from service.identity.principal import OwnLimits
from service.limits.limit import TeamLimits
from service.limits.limits import Limits
from tests.books.scripted import Scene, in_simulated_time
from tests.limits.replicas import CALLER, KEY, TEAM, Replica, replica_on, team_limits


async def replica_with(limits: TeamLimits, scene: Scene | None = None) -> Replica:
    database = (scene or await Scene.new()).database
    return await replica_on(database, limits, database._now_us)


@in_simulated_time
async def test_an_access_keys_limit_refuses_its_calls_and_nobody_elses() -> None:
    replica = await replica_with(team_limits(minute=100, day=1_000))
    narrow = OwnLimits(KEY, 3, None)
    refused = [await replica.asks(own=narrow) for _ in range(4)][-1]

    assert refused is not None
    assert refused.reason == reasons.ERROR_REASON_RATE_LIMITED_MINUTE
    assert refused.metadata["limit_name"] == "requests_per_minute"
    assert refused.metadata["limit"] == "3"
    assert KEY in str(refused)
    assert quota_subject(refused) == KEY
    assert await replica.asks() is None
    assert 100 - replica.limiter.stocks_of(TEAM).stocks[0].remaining == 4  # what the key was refused is not counted


@in_simulated_time
async def test_an_access_keys_day_is_that_of_its_teams_budget() -> None:
    scene = await Scene.new()
    berlin = ZoneInfo("Europe/Berlin")
    replica = await replica_with(team_limits(zone=berlin), scene)
    narrow = OwnLimits(KEY, None, 1)
    assert await replica.asks(own=narrow) is None
    refused = await replica.asks(own=narrow)

    assert refused is not None
    assert refused.reason == reasons.ERROR_REASON_RATE_LIMITED_DAY
    resets_at = datetime.fromisoformat(refused.metadata["resets_at"])
    assert resets_at.astimezone(berlin).time() == time()


@in_simulated_time
async def test_the_keys_of_one_line_are_counted_as_one_on_all_replicas() -> None:
    scene = await Scene.new()
    replicas = [await replica_with(team_limits(minute=1_000), scene) for _ in range(3)]
    narrow = OwnLimits(KEY, 40, None)
    answers = [await replica.asks(own=narrow) for _ in range(40) for replica in replicas]

    assert answers.count(None) == 40


@in_simulated_time
async def test_the_team_limits_its_access_keys_as_well() -> None:
    replica = await replica_with(team_limits(minute=2))
    refused = [await replica.asks(own=OwnLimits(KEY, 3, None)) for _ in range(3)][-1]

    assert refused is not None
    assert quota_subject(refused) == f"team:{TEAM}"


@in_simulated_time
async def test_a_reload_keeps_what_is_held_for_an_access_key() -> None:
    replica = await replica_with(team_limits(minute=600))
    narrow = OwnLimits(KEY, 160, None)
    assert await replica.asks(own=narrow) is None
    trips = replica.books.trips
    replica.limits = team_limits(minute=600, day=None)
    assert await replica.asks(own=narrow) is None

    assert replica.books.trips == trips


@in_simulated_time
async def test_an_access_keys_holder_is_told_of_its_own_limits_after_its_teams() -> None:
    scene = await Scene.new()
    team, narrow = team_limits(minute=100), OwnLimits(KEY, 10, 50)
    limits = Limits((await replica_with(team, scene)).books, scene.database._now_us, lambda _: team, lambda: None)
    for _ in range(4):
        await limits._limiter.admit(TEAM, 0, narrow)
    asked = limits.ask([TEAM], narrow)
    taken = await limits._limiter._refills.books.read(asked.read)
    told = [each[:4] for each in limits.standings(TEAM, asked, taken, narrow)]

    assert told == [
        (f"team:{TEAM}", "requests_per_minute", 100, 96),
        (KEY, "requests_per_minute", 10, 6),
        (KEY, "requests_per_day", 50, 46),
    ]
    assert (
        limits.tightest(dataclasses.replace(CALLER, limits=narrow)) == limits.standings(TEAM, asked, taken, narrow)[1]
    )
    assert limits.tightest(CALLER) == limits.standings(TEAM, asked, taken)[0]


def quota_subject(refused: Refused) -> str:
    """Whose limit was met."""
    (failure,) = (detail for detail in refused.details() if isinstance(detail, error_details_pb2.QuotaFailure))
    return str(failure.violations[0].subject)

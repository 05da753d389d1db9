"""Whoever waits exactly as long as it was told is let in, be they a thousand: in simulated time, to the millisecond."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from service.identity.principal import OwnLimits
from service.limits.limit import TeamLimits
from service.limits.promises import WINDOWS_AHEAD
from service.limits.windows import MINUTE_US
from tests.books.scripted import Scene
from tests.limits.replicas import KEY, PatientCallers, Replica, replica_on, team_limits
from tests.simulation.simulated_time import SimulatedLoop

DAY_US = 86_400_000_000


async def came_in(
    limits: TeamLimits,
    callers: int,
    replicas: int = 1,
    inputs: int = 0,
    own: OwnLimits | None = None,
    minutes_before: int = 0,
) -> PatientCallers:
    """Lets callers come, all at once, to whichever replica, after minutes in which the last one had the most to do."""
    scene = await Scene.new()
    now_us = scene.database._now_us
    there: list[Replica] = [await replica_on(scene.database, limits, now_us) for _ in range(replicas)]
    for _ in range(minutes_before):
        for replica in [*there, *there[-1:] * 100]:
            await replica.asks(inputs, own)
        await asyncio.sleep(60)
    patient, choose = PatientCallers(now_us), random.Random(1)
    await asyncio.gather(*(patient.call(n, lambda: choose.choice(there), inputs, own) for n in range(callers)))
    assert len(patient.admitted_us) == callers
    print(f"{callers} callers, {replicas} replicas: refused {max(patient.refused.values())} times at most")
    return patient


def simulated(story: Coroutine[Any, Any, PatientCallers]) -> PatientCallers:
    """Runs a story of hours or days at once."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(story)


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_thousand_callers_are_refused_once_and_then_let_in(replicas: int) -> None:
    patient = simulated(came_in(team_limits(minute=60), 1_000, replicas))
    minutes = Counter(at_us // MINUTE_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    assert max(minutes.values()) <= 60
    assert len(minutes) == 18


@pytest.mark.parametrize("replicas", [1, 3])
def test_those_for_whom_the_day_has_no_room_are_told_the_next_one_at_once(replicas: int) -> None:
    patient = simulated(came_in(team_limits(minute=60, day=300), 500, replicas))
    days = Counter(at_us // DAY_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    print(f"{days[min(days)]} of 300 came in on the first day")

    assert max(days.values()) <= 300
    assert len(days) == 2
    assert days[min(days)] >= 300 - 300 // 16  # what another replica holds is there for who comes by chance


def test_who_is_refused_for_the_day_comes_back_in_the_minutes_of_the_next() -> None:
    patient = simulated(came_in(team_limits(minute=60, day=60), 200, 3))
    minutes = Counter(at_us // MINUTE_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    assert max(minutes.values()) <= 60
    assert len({at_us // DAY_US for at_us in patient.admitted_us}) == 4


def test_callers_with_many_inputs_are_told_a_minute_that_has_room_for_all_of_them() -> None:
    patient = simulated(came_in(team_limits(minute=60, inputs=960), 100, 3, inputs=96))
    minutes = Counter(at_us // MINUTE_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    assert max(minutes.values()) == 10


@pytest.mark.parametrize(("own", "most"), [((10, None), 10), ((100, None), 60), ((None, 250), 60)])
def test_callers_with_a_key_that_has_limits_of_its_own_are_refused_once_as_well(
    own: tuple[int | None, int | None], most: int
) -> None:
    patient = simulated(came_in(team_limits(minute=60), 300, 3, own=OwnLimits(KEY, *own)))
    minutes = Counter(at_us // MINUTE_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    assert max(minutes.values()) <= most


def test_a_replica_that_had_little_to_do_promises_no_more_of_a_day_than_others_have_left_of_it() -> None:
    patient = simulated(came_in(team_limits(minute=60, day=300), 200, 3, minutes_before=3))
    days = Counter(at_us // DAY_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    assert 120 - 120 // 16 * 3 <= days[min(days)] <= 120


def test_a_day_whose_minutes_count_inputs_alone_is_not_promised_twice_either() -> None:
    patient = simulated(came_in(team_limits(inputs=5_760, day=300), 500, 3, inputs=96))
    days = Counter(at_us // DAY_US for at_us in patient.admitted_us)

    assert max(patient.refused.values()) == 1
    assert max(days.values()) <= 300


def test_who_finds_every_minute_promised_is_told_the_next_one() -> None:
    patient = simulated(came_in(team_limits(minute=4), 4 * (WINDOWS_AHEAD + 1) + 1))

    assert sorted(Counter(patient.refused.values())) == [1, 2]
    assert Counter(patient.refused.values())[2] == 1

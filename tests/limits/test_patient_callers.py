"""Whoever waits exactly as long as it was told is let in, be they a thousand: in simulated time, to the millisecond."""

import asyncio
import random
from collections import Counter

import pytest

from service.limits.limit import TeamLimits
from service.limits.windows import MINUTE_US
from collections.abc import Coroutine
from typing import Any
from tests.books.scripted import Scene
from tests.simulation.simulated_time import SimulatedLoop
from tests.limits.replicas import PatientCallers, Replica, replica_on, team_limits

DAY_US = 86_400_000_000


async def came_in(limits: TeamLimits, callers: int, replicas: int = 1, inputs: int = 0, seed: int = 1) -> PatientCallers:
    """Lets callers come, all at once, to whichever replica."""
    scene = await Scene.new()
    there: list[Replica] = [await replica_on(scene.database, limits, scene.database._now_us) for _ in range(replicas)]
    patient = PatientCallers(scene.database._now_us)
    choose = random.Random(seed)
    await asyncio.gather(*(patient.call(n, lambda: choose.choice(there), inputs) for n in range(callers)))
    assert len(patient.admitted_us) == callers
    return patient


def simulated(story: Coroutine[Any, Any, PatientCallers]) -> PatientCallers:
    """Runs a story of hours or days at once."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(story)


def test_x() -> None:
    for limits, callers, replicas, inputs in [
        (team_limits(minute=60, day=1_000), 1_000, 1, 0),
        (team_limits(minute=60, day=1_000), 1_000, 3, 0),
        (team_limits(minute=60, day=2_000), 1_000, 3, 0),
        (team_limits(minute=60), 1_000, 3, 0),
        (team_limits(minute=60, day=1_000), 2_500, 1, 0),
        (team_limits(minute=60, day=1_000), 2_500, 3, 0),
        (team_limits(minute=600, day=50_000), 3_000, 3, 0),
        (team_limits(minute=60, inputs=960), 300, 1, 96),
        (team_limits(minute=60, inputs=960), 300, 3, 96),
        (team_limits(day=100), 300, 3, 0),
    ]:
        for seed in range(3):
            patient = simulated(came_in(limits, callers, replicas, inputs, seed))
            minutes = Counter(at_us // MINUTE_US for at_us in patient.admitted_us)
            twice = sum(n > 1 for n in patient.refused.values())
            print(limits.rates[0].most, callers, replicas, inputs, "twice", twice, max(patient.refused.values()), "minutes", len(minutes), max(minutes.values()), list(minutes.values())[:5],"days",  Counter(at_us // DAY_US for at_us in patient.admitted_us))

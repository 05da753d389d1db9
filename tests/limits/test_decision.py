"""Whatever the clock does, windows are counted as somebody would who keeps a list of all that was admitted."""

import asyncio
from collections import Counter
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Refused
from service.limits.limit import Limit, TeamLimits
from service.limits.refusals import CLOCKS_MARGIN_S
from service.limits.windows import window_at
from tests.books.scripted import Scene
from tests.limits.replicas import TEAM, Replica, replica_on, team_limits, wait_s
from tests.simulation.simulated_time import SimulatedLoop

S_US = 1_000_000
BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
STARTS = [
    datetime(2026, 3, 28, 22, 59, 50, tzinfo=UTC_ZONE),  # before Berlin's day of 23 hours
    datetime(2026, 10, 25, 22, 58, 30, tzinfo=UTC_ZONE),  # at the end of Berlin's day of 25 hours
    datetime(2026, 10, 3, 13, 29, 55, tzinfo=UTC_ZONE),  # before Lord Howe's day of 23.5 hours
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC_ZONE)


class Step(NamedTuple):
    """What happens next: the clock moves, and somebody calls."""

    by_us: int
    replica: int
    inputs: int
    gives_back: bool


forwards = st.sampled_from([0, 0, 0, 1, S_US, 9 * S_US, 30 * S_US, 60 * S_US, 3600 * S_US, 86_400 * S_US])
anywhere = forwards | st.sampled_from([-1, -30 * S_US, -60 * S_US, -600 * S_US, 600 * S_US])


def steps(by_us: st.SearchStrategy[int], replicas: int) -> st.SearchStrategy[list[Step]]:
    step = st.builds(Step, by_us, st.integers(0, replicas - 1), st.sampled_from([0, 0, 1, 4]), st.booleans())
    return st.lists(step, min_size=5, max_size=60)


limits = st.builds(
    team_limits,
    minute=st.none() | st.integers(1, 40),
    day=st.none() | st.integers(1, 60),
    inputs=st.none() | st.integers(4, 40),
    zone=st.sampled_from([BERLIN, LORD_HOWE]),
)


class Moved:
    """A clock that goes where it is told."""

    def __init__(self, start: datetime) -> None:
        self.us = (start - EPOCH) // timedelta(microseconds=1)

    def now_us(self) -> int:
        return self.us


def window_name(limit: Limit, at_us: int) -> str:
    """The minute or the local date, as a calendar on the wall has it."""
    at = EPOCH + timedelta(microseconds=at_us)
    return at.strftime("%Y-%m-%d %H:%M") if limit.zone is None else str(at.astimezone(limit.zone).date())


class Lists:
    """Everything that was admitted, in lists."""

    def __init__(self, limits: TeamLimits) -> None:
        self.limits = limits
        self.counts: Counter[tuple[str, str]] = Counter()

    def amounts(self, inputs: int) -> list[tuple[Limit, int]]:
        every = [(limit, inputs if limit.of_inputs else 1) for limit in self.limits.rates]
        return [(limit, amount) for limit, amount in every if amount]

    def full(self, at_us: int, inputs: int) -> list[Limit]:
        """The limits that have no room."""
        return [
            limit
            for limit, amount in self.amounts(inputs)
            if self.counts[limit.scope, window_name(limit, at_us)] + amount > limit.most
        ]

    def admit(self, at_us: int, inputs: int) -> None:
        for limit, amount in self.amounts(inputs):
            self.counts[limit.scope, window_name(limit, at_us)] += amount


def simulated(story: Any) -> None:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(story)


async def outcome_of(replica: Replica, step: Step) -> Refused | None:
    try:
        permit = await replica.limiter.admit(TEAM, step.inputs)
    except Refused as refused:
        return refused
    if step.gives_back:
        permit.give_back()
    return None


@given(limits, steps(forwards, 1), st.sampled_from(STARTS))
def test_one_process_admits_exactly_what_a_list_of_all_calls_has_room_for(
    limits: TeamLimits, course: list[Step], start: datetime
) -> None:
    async def story() -> None:
        clock, lists = Moved(start), Lists(limits)
        replica = await replica_on((await Scene.new()).database, limits, clock.now_us)
        for step in course:
            clock.us += step.by_us
            full = lists.full(clock.us, step.inputs)
            refused = await outcome_of(replica, step)

            assert (refused is not None) == bool(full)
            if refused is not None:
                require_told(refused, full, clock.us)
            elif not step.gives_back:
                lists.admit(clock.us, step.inputs)

    simulated(story())


def require_told(refused: Refused, full: list[Limit], at_us: int) -> None:
    """The refusal names the limit that lasts longest, when it resets, and a wait until a window to come begins."""
    windows = {limit.name: window_at(limit.zone, at_us) for limit in full}
    last = max(full, key=lambda limit: windows[limit.name].end_us)
    end_us = windows[refused.metadata["limit_name"]].end_us
    resets_at = datetime.fromisoformat(refused.metadata["resets_at"])
    back_us = at_us + round((wait_s(refused) - CLOCKS_MARGIN_S) * 1e6)

    assert end_us == windows[last.name].end_us
    assert resets_at == EPOCH + timedelta(microseconds=end_us)
    assert end_us <= back_us
    assert back_us - window_at(None, back_us).start_us <= 1000


@given(limits, steps(anywhere, 3), st.sampled_from(STARTS))
def test_three_processes_whose_clocks_step_never_admit_more_than_a_window_allows(
    limits: TeamLimits, course: list[Step], start: datetime
) -> None:
    async def story() -> None:
        database = (await Scene.new()).database
        clocks = [Moved(start) for _ in range(3)]
        replicas = [await replica_on(database, limits, clock.now_us) for clock in clocks]
        lists = Lists(limits)
        for step in course:
            clock = clocks[step.replica]
            clock.us += step.by_us
            refused = await outcome_of(replicas[step.replica], step)
            if refused is None and not step.gives_back:
                assert not lists.full(clock.us, step.inputs)
                lists.admit(clock.us, step.inputs)
            elif refused is not None:  # all of a window is handed out, to whichever of the three
                rows: Any = database.cursor.execute("SELECT scope || start_us, taken FROM permit_window")
                taken = dict(rows)
                keys = {limit: f"{limit.scope}{window_at(limit.zone, clock.us).start_us}" for limit in limits.rates}
                wanted = dict(lists.amounts(step.inputs))
                assert any(taken.get(keys[limit], 0) + wanted[limit] > limit.most for limit in wanted)

    simulated(story())


@pytest.mark.parametrize("by_us", [600 * S_US, -600 * S_US])
async def test_a_machine_whose_own_clock_steps_counts_as_before(by_us: int, monkeypatch: pytest.MonkeyPatch) -> None:
    database = (await Scene.new()).database
    replicas = [await replica_on(database, team_limits(minute=60)) for _ in range(2)]
    windows = [window_at(None, replica.limiter._now_us()) for replica in replicas]
    monkeypatch.setattr("time.time_ns", lambda: database._now_us() * 1000 + by_us * 1000)
    monkeypatch.setattr("time.time", lambda: database._now_us() / 1e6 + by_us / 1e6)

    assert [window_at(None, replica.limiter._now_us()) for replica in replicas] == windows

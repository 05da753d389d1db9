"""The arithmetic of turns, against everything that Cohere could count."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.pacing.cell_rate import LEASE_SHARE, MINUTE_US, CellRate, Lease, Stretch
from tests.pacing.sliding import most_in_a_minute

WAY_US = MINUTE_US // LEASE_SHARE - CellRate(10).held_us
"""How long a turn may take from its grant until Cohere counts it."""
LIMITS = (1, 2, 3, 5, 10, 20, 57, 400, 500, 2000)


@dataclass
class Row:
    """The shared row, as the statement changes it."""

    next_us: int = 0

    def take(self, now_us: int, back_us: int, cost_us: int) -> tuple[int, int]:
        start_us = max(self.next_us, now_us - back_us)
        self.next_us = start_us + cost_us
        return start_us, self.next_us


@dataclass
class Replica:
    rate: CellRate
    row: Row
    lease: Lease = field(default_factory=Lease)

    def use(self, units: int, now_us: int, more_us: int = 0) -> Stretch | None:
        """Uses a turn if it is due, and takes one, with some time more, if there is none."""
        if self.lease.due_us(self.rate, units, now_us) is None:
            cost_us = self.rate.cost_of(units).cost_us + more_us
            self.lease.add(*self.row.take(now_us, self.rate.cost_of(units).back_us, cost_us))
        return self.lease.use(self.rate, units, now_us)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int, int, int | None]]]:
    """A limit, and steps: how long after the last one, whose, how many units, what more is taken, the way's time.

    Without a way the turn is given back.
    """
    limit = draw(st.sampled_from(LIMITS))
    step = st.tuples(
        st.one_of(st.just(0), st.integers(0, 2_000_000), st.integers(0, 90_000_000)),
        st.integers(0, 2),
        st.one_of(st.just(1), st.integers(1, limit), st.just(limit)),
        st.sampled_from((0, 0, 100_000, 5_000_000)),
        st.sampled_from((0, WAY_US, None)),
    )
    return limit, draw(st.lists(step, max_size=60))


A_SMALL_ONE_WITHIN_A_LARGE_ONE = (
    2000,
    [(0, 0, 1, 0, 0)] * 3
    + [(0, 2, 2000, 0, 0), (42_046_667, 0, 1, 0, 0), (42_046_667, 0, 1, 0, 0), (0, 2, 2000, 0, 0)]
    + [(42_046_666, 0, 1, 0, 0)],
)


@settings(deadline=None)
@given(histories())
@example(A_SMALL_ONE_WITHIN_A_LARGE_ONE)
def test_no_minute_holds_more_than_the_limit_whatever_replicas_do(
    history: tuple[int, list[tuple[int, int, int, int, int | None]]],
) -> None:
    limit, steps = history
    rate, row, now_us = CellRate(limit), Row(), 10 * MINUTE_US
    replicas = [Replica(rate, row) for _ in range(3)]
    sent: list[tuple[int, int]] = []
    for after_us, whose, units, more_us, way_us in steps:
        now_us += after_us
        stretch = replicas[whose].use(units, now_us, more_us)
        if stretch is not None and way_us is None:
            replicas[whose].lease.give_back(rate, stretch, now_us)
        elif stretch is not None and way_us is not None:
            sent.append((now_us + way_us, units))

    assert most_in_a_minute(sent) <= limit


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("units", ["one", "any", "a tenth"])
def test_greedy_replicas_use_most_of_the_limit_and_never_more(limit: int, units: str) -> None:
    rate, row, random = CellRate(limit), Row(), Random(limit)
    replicas = [Replica(rate, row) for _ in range(3)]
    sent: list[tuple[int, int]] = []
    minutes = 6
    step_us = min(200_000, max(20_000, rate.cost_of(1).cost_us // 3))
    for now_us in range(10 * MINUTE_US, (10 + minutes) * MINUTE_US, step_us):
        for replica in random.sample(replicas, 3):
            wanted = {"one": 1, "any": random.randint(1, limit), "a tenth": max(1, rate.burst)}[units]
            while replica.use(wanted, now_us):
                sent.append((now_us + random.choice((0, WAY_US)), wanted))

    used = sum(amount for _, amount in sent) / (limit * minutes)
    assert most_in_a_minute(sent) <= limit
    if units != "any" and limit >= 5:
        assert used >= 0.75


@pytest.mark.parametrize("limit", [400, 500, 1000, 2000])
def test_of_a_production_limit_a_tenth_comes_at_once_and_85_percent_for_ever(limit: int) -> None:
    rate, row = CellRate(limit), Row()
    replica = Replica(rate, row)
    at_once = 0
    while replica.use(1, MINUTE_US):
        at_once += 1

    assert at_once == limit // 10
    assert 0.85 <= MINUTE_US / rate.cost_of(limit // 10).cost_us / 10 < 0.87


def test_a_request_of_the_whole_limit_goes_at_once_after_a_minute_and_a_bit_of_silence() -> None:
    rate, row = CellRate(5), Row(next_us=0)
    replica = Replica(rate, row)

    assert replica.use(5, 2 * MINUTE_US)
    assert not replica.use(1, 3 * MINUTE_US - 1)


def test_turns_that_are_not_used_lapse() -> None:
    rate, lease = CellRate(500), Lease()
    lease.add(0, rate.cost_of(10).cost_us)
    last_us = rate.cost_of(10).cost_us - rate.cost_of(1).cost_us + rate.cost_of(1).back_us + rate.held_us

    assert lease.due_us(rate, 1, last_us - 1_000) is not None
    assert lease.due_us(rate, 1, last_us + 1_000) is None


def test_a_turn_may_span_two_stretches_unless_the_first_lapses_meanwhile() -> None:
    rate = CellRate(500)
    near, far = Lease(), Lease()
    for lease, gap_us in ((near, 1_000_000), (far, 20_000_000)):
        lease.add(0, rate.cost_of(1).cost_us)
        lease.add(gap_us, gap_us + rate.cost_of(2).cost_us)

    assert near.due_us(rate, 3, 0) == 1_000_000 + 3 * rate.cost_of(1).cost_us - rate.cost_of(1).cost_us
    assert far.due_us(rate, 3, 0) is None


def test_a_turn_that_is_given_back_is_used_again_unless_it_lapsed() -> None:
    rate, lease = CellRate(500), Lease()
    due_us = rate.cost_of(1).cost_us
    lease.add(0, 2 * due_us)
    first, second = lease.use(rate, 1, 2 * due_us), lease.use(rate, 1, 2 * due_us)
    assert first == Stretch(0, due_us)
    assert second == Stretch(due_us, 2 * due_us)
    assert lease.use(rate, 1, 2 * due_us) is None
    for stretch in (first, second):
        lease.give_back(rate, stretch, 2 * due_us)
    again = [lease.use(rate, 1, 2 * due_us) for _ in range(3)]
    lease.give_back(rate, first, 20_000_000)

    assert again == [first, second, None]
    assert lease.due_us(rate, 1, 20_000_000) is None

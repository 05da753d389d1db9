"""The generic cell rate algorithm (ITU-T I.371), for requests that weigh more than one unit. Pure integers.

A limit's time is cut into stretches, and a request takes the stretch that it costs; who took a stretch may use it until
a while after its end. That no minute holds more than the limit, wherever it begins, follows from how far stretch and
use may be apart: of all requests used within a minute, take the first and the last stretch; what lies between is at
most a minute and both distances long, and it holds at most the limit of units (docs/pacing.md).
"""

from collections import deque
from typing import NamedTuple

MINUTE_US = 60_000_000
BURST_SHARE = 10
"""Of a limit so many parts one may come at once."""
LEASE_SHARE = 20
"""The time from when a turn is due until it reaches Cohere is at most so many parts one of a minute: 3 s."""
HELD_SHARE = 60
"""Of it a turn may be kept before it is used; the rest is for the hold, the connection and the network: 1 s."""


class Cost(NamedTuple):
    """What a request of one size takes, in microseconds."""

    cost_us: int
    """The stretch that it takes."""
    back_us: int
    """How far in the past the stretch may begin: idle time is not lost at once."""
    early_us: int
    """How long before the end of its stretch it is due."""
    reach_us: int
    """How far in the past it may begin when it is used, if it was taken before."""
    gap_us: int
    """How much of others' may lie within it: what the limit leaves beside it."""


class Stretch(NamedTuple):
    """A piece of a limit's time, in microseconds."""

    start_us: int
    end_us: int


class CellRate:
    """What units of one limit cost, in microseconds of the limit's time.

    Args:
        limit: The most units that a minute may hold.
        minute_us: How long the limit's minute is.
    """

    __slots__ = ("_costs", "_spread_units", "_spread_us", "burst", "held_us", "limit", "minute_us", "small")

    def __init__(self, limit: int, minute_us: int = MINUTE_US) -> None:
        self.limit = limit
        self.minute_us = minute_us
        self.burst = max(limit // BURST_SHARE, 1) if limit > 1 else 0
        self.held_us = minute_us // HELD_SHARE
        self._spread_us = minute_us + minute_us // LEASE_SHARE
        self._spread_units = limit - self.burst
        self._costs: dict[int, Cost] = {}
        self.small = self.cost_of(1)
        """Of the smallest request."""

    def cost_of(self, units: int) -> Cost:
        """What a request takes. Of the few sizes there are, each is worked out once."""
        cost = self._costs.get(units)
        if cost is None:
            cost = self._costs[units] = self._cost(units)
        return cost

    def _cost(self, units: int) -> Cost:
        over = max(0, units - self.burst)
        # One larger than the burst takes more, for it can be early *and* late.
        cost_us = self.span_us(units + over)
        back_us = max(units, self.burst) * self._spread_us // self._spread_units
        early_us = over * self._spread_us // self._spread_units
        gap_us = max(0, self.limit - units) * self._spread_us // self._spread_units
        return Cost(cost_us, back_us, early_us, back_us + self.held_us, gap_us)

    def span_us(self, units: int) -> int:
        """The stretches that many small requests take together."""
        return -(-units * self._spread_us // self._spread_units)


class Lease:
    """The stretches that were taken and not yet used, the oldest first. They lapse by themselves."""

    __slots__ = ("_stretches",)

    def __init__(self) -> None:
        self._stretches: deque[Stretch] = deque()

    def add(self, start_us: int, end_us: int) -> None:
        """Adds a stretch behind the others."""
        if self._stretches and self._stretches[-1][1] == start_us:
            start_us, _ = self._stretches.pop()
        self._stretches.append(Stretch(start_us, end_us))

    def clear(self) -> None:
        """Drops all of it."""
        self._stretches.clear()

    def due_us(self, rate: CellRate, units: int, now_us: int) -> int | None:
        """When a request may be used, now or later; None if there is too little for it."""
        planned = self._plan(rate, units, now_us)
        return None if planned is None else planned[0]

    def use(self, rate: CellRate, units: int, now_us: int) -> Stretch | None:
        """Takes the stretch of a request if it is due; returns the last piece of it, mostly the whole."""
        stretches = self._stretches
        if not stretches:
            return None
        cost_us, _, early_us, reach_us, _ = rate.cost_of(units)
        start_us, last_us = stretches[0]
        end_us = max(start_us, now_us - reach_us) + cost_us
        if end_us > last_us or end_us - early_us > now_us:  # it is not all in the first stretch, and due
            planned = self._plan(rate, units, now_us)
            if planned is None or planned[0] > now_us:
                return None
            end_us = planned[1]
            while stretches[0][1] < end_us:
                stretches.popleft()
            start_us, last_us = stretches[0]
        if end_us == last_us:
            stretches.popleft()
        else:
            stretches[0] = Stretch(end_us, last_us)
        return Stretch(max(start_us, end_us - cost_us), end_us)

    def give_back(self, rate: CellRate, stretch: Stretch, now_us: int) -> None:
        """Takes back the stretch of a request that was not made after all, if it can still be used."""
        if abs(now_us - stretch.end_us) <= rate.small.reach_us:
            earlier = sum(1 for other in self._stretches if other.end_us <= stretch.start_us)
            self._stretches.insert(earlier, stretch)

    def left_us(self, rate: CellRate, now_us: int) -> int:
        """How much of it small requests can use now or later."""
        oldest_us = now_us - rate.small.reach_us
        return sum(max(0, end_us - max(start_us, oldest_us)) for start_us, end_us in self._stretches)

    def latest_us(self, rate: CellRate, now_us: int) -> int:
        """How much of the last stretch small requests can use now or later; 0 or less if nothing."""
        if not self._stretches:
            return 0
        start_us, end_us = self._stretches[-1]
        return end_us - max(start_us, now_us - rate.small.reach_us)

    def end_us(self) -> int:
        """Where the last stretch ends; there MUST be one."""
        return self._stretches[-1][1]

    def _plan(self, rate: CellRate, units: int, now_us: int) -> tuple[int, int] | None:
        """When a request may be used, and where what it takes ends."""
        needed_us, _, early_us, reach_us, gap_us = rate.cost_of(units)
        oldest_us = now_us - reach_us
        while (end_us := self._end_of(needed_us, oldest_us)) is not None:
            due_us = end_us - early_us
            first_us = self._first_after(oldest_us)
            if due_us - first_us <= reach_us and end_us - first_us - needed_us <= gap_us:
                return due_us, end_us
            # Others' stretches lie between: its first part has lapsed by then, or cannot be used with the last.
            oldest_us = max(due_us - reach_us, end_us - needed_us - gap_us)
        return None

    def _end_of(self, needed_us: int, oldest_us: int) -> int | None:
        for start_us, end_us in self._stretches:
            from_us = max(start_us, oldest_us)
            if end_us - from_us >= needed_us:
                return from_us + needed_us
            needed_us -= max(0, end_us - from_us)
        return None

    def _first_after(self, oldest_us: int) -> int:
        return next(max(start_us, oldest_us) for start_us, end_us in self._stretches if end_us > oldest_us)

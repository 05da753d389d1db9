"""How it stands with limits → as the contract shows it."""

from collections.abc import Iterable
from typing import Protocol

from cohort.v1.rate_limit_pb2 import RateLimit
from service.limits.limits import LimitStanding


class RateLimits(Protocol):
    """A repeated field of limits."""

    def add(self) -> RateLimit:
        """Appends an empty one."""
        ...


def fill_rate_limits(told: RateLimits, standings: Iterable[LimitStanding]) -> None:
    """Writes limits into a field that is empty."""
    for standing in standings:
        limit = told.add()
        limit.holder, limit.name = standing.holder, standing.name
        limit.limit, limit.remaining = standing.most, standing.remaining
        if standing.resets_at_us:
            limit.reset_time.FromMicroseconds(standing.resets_at_us)

"""The shared rows in memory, as the statements are to change them; and pacers around them."""

import asyncio
from collections.abc import Callable

from clients.cohere_key import CohereKey
from clients.pacing.errors import PaceLost
from clients.pacing.row import SLOWED_ONCE_IN_US, Asked, Taken, permille_at, slower

KEY = CohereKey("co-key", 1)
START_US = 1_800_000_000_000_000


class Told:
    """Counts who waits, and for how long they did."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.waits_s: list[float] = []

    def turn_awaited(self, team: str) -> None:
        self.waiting[team] = self.waiting.get(team, 0) + 1

    def turn_ended(self, team: str, seconds: float) -> None:
        self.waiting[team] -= 1
        self.waits_s.append(seconds)


def loop_clock_us() -> int:
    """The database's clock of a test: the loop's, from another beginning."""
    return START_US + int(asyncio.get_running_loop().time() * 1_000_000)


class MemoryRow:
    """All rows of a database.

    Attributes:
        trips: How often it was asked.
        is_away: It does not answer.
    """

    def __init__(self, clock_us: Callable[[], int] = loop_clock_us, trip_s: float = 0.0) -> None:
        self._clock_us, self._trip_s = clock_us, trip_s
        self.rows: dict[str, tuple[int, int, int]] = {}
        self.trips = 0
        self.is_away = False

    async def take(self, scope: str, asked: Asked) -> Taken:
        await self._trip()
        now_us = self._clock_us()
        idle_us = now_us - asked.back_us
        next_us, permille, slowed_at_us = self.rows.get(scope, (idle_us, 1000, 0))
        start_us = max(next_us, idle_us)
        if next_us > now_us + asked.patience_us:
            return Taken(None, next_us, permille, slowed_at_us, now_us)
        end_us = min(start_us + asked.wanted_us, max(start_us, now_us) + asked.ahead_us)
        self.rows[scope] = (end_us, permille, slowed_at_us)
        return Taken(start_us, end_us, permille, slowed_at_us, now_us)

    async def slow(self, scope: str, rest_us: int) -> Taken:
        await self._trip()
        now_us = self._clock_us()
        next_us, permille, slowed_at_us = self.rows.get(scope, (now_us, 1000, 0))
        if now_us - slowed_at_us >= SLOWED_ONCE_IN_US:
            permille, slowed_at_us = slower(permille_at(permille, slowed_at_us, now_us)), now_us
        if rest_us:
            next_us = max(next_us, now_us + rest_us)
        self.rows[scope] = (next_us, permille, slowed_at_us)
        return Taken(None, next_us, permille, slowed_at_us, now_us)

    async def _trip(self) -> None:
        self.trips += 1
        await asyncio.sleep(self._trip_s)
        if self.is_away:
            raise PaceLost("away")

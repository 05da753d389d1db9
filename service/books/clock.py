"""The database's time, as this process follows it: its own monotonic clock and an offset.

What is safe rests on the database's clock inside the statements; this one only dates records and chooses the period
to try first. A step of the machine's own clock does not move it.
"""

import time
from collections.abc import Awaitable, Callable

DRIFT_US = 1000
"""What the two clocks are taken to drift apart between two readings at most: one part in 10,000 of ten seconds."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux' also counts while the machine is suspended."""


def _monotonic_ns() -> int:
    return time.clock_gettime_ns(_CLOCK)


class DatabaseClock:
    """Microseconds since the epoch, by the database.

    Args:
        now_us: The database's clock, read just now.
        monotonic_ns: This machine's time, which never steps.
    """

    def __init__(self, now_us: int, monotonic_ns: Callable[[], int] = _monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._offset_us = now_us - self._own_us()

    def now_us(self) -> int:
        """The present; behind the database's, rather than ahead of it."""
        return self._offset_us + self._own_us()

    async def follow(self, reading: Awaitable[int]) -> None:
        """Takes over the database's clock.

        What is read is late by as much of the way as lies behind it, which nobody knows; so what was known stays while
        it can still be true, and the quickest of all readings holds.

        Args:
            reading: Reads it; begins when it is awaited.
        """
        asked_us = self._own_us()
        read_us = await reading
        known_us = self._offset_us - DRIFT_US
        least_us, most_us = read_us - self._own_us(), read_us - asked_us
        self._offset_us = known_us if least_us <= known_us <= most_us else least_us

    def _own_us(self) -> int:
        return self._monotonic_ns() // 1000

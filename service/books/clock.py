"""The database's time, as this process follows it: its own monotonic clock and an offset.

What is safe rests on the database's clock inside the statements; this one only dates records and chooses the period
to try first. A step of the machine's own clock does not move it.
"""

import time
from collections.abc import Callable

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
        self._offset_us = 0
        self.follow(now_us)

    def now_us(self) -> int:
        """The present."""
        return self._offset_us + self._monotonic_ns() // 1000

    def follow(self, now_us: int) -> None:
        """Takes over the database's clock, read just now."""
        self._offset_us = now_us - self._monotonic_ns() // 1000

"""Whether the loop itself may wait for the disk: if that is quick it takes less than to be told by the kernel."""

import time
from collections.abc import Callable

QUICK_S = 0.0005
"""A sync that takes so long is worth being waited for: about as long as to be told of it takes besides."""
REST_TIMES = 20
"""For so many times as long as a sync took longer than that the loop waits for none."""


class QuickDisk:
    """Judges by the last sync that the loop has waited for.

    However slow a disk is, and whenever it becomes so, the loop stands still for it a twentieth of its time at most,
    but for quick syncs: one of 100 ms is followed by two seconds without.

    Args:
        clock_s: Seconds that only go forward.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._again_at_s = 0.0

    @property
    def may_be_waited_for(self) -> bool:
        """The next sync is likely to be quick, or it is time to see whether it is."""
        return self._clock_s() >= self._again_at_s

    def took(self, sync_s: float) -> None:
        """The loop has waited for a sync."""
        if sync_s > QUICK_S:
            self._again_at_s = self._clock_s() + REST_TIMES * (sync_s - QUICK_S)

"""When a batch is complete: as soon as the loop has nothing else to do, for nothing more can join it then.

Under load more entries share a commit, and on an idle loop none waits.
"""

import asyncio
import time
from collections.abc import Callable

IDLE_TURN_S = 50e-6
"""A turn of the loop that took less did nothing for a call."""
REST_S = 0.001
"""What a rest takes at least."""
LOOKS_MAX_S = 0.005
"""For so long after a commit it is seen to whether the loop has nothing to do: looking keeps it from sleeping."""
GATHERING_MAX_S = 0.002
"""For so long a busy loop may go on with other calls before those that wait for their commit get it."""


async def until_idle() -> None:
    """Lets the loop do what it is ready to do."""
    began_s = before_s = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        now_s = time.perf_counter()
        if now_s - before_s < IDLE_TURN_S or now_s - began_s > GATHERING_MAX_S:
            return
        before_s = now_s


class Rest:
    """Whether calls come so seldom that nothing is likely to join the next commit.

    That is so if the last one is some time ago, and the loop has had a turn with nothing to do since. A busy loop has
    none, however long it works on its calls between two commits.

    Args:
        now_s: Seconds that only go forward.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._wrote_at_s = now_s() - REST_S
        self._was_idle = True
        self._looks = False

    @property
    def is_over(self) -> bool:
        """Nothing is likely to join."""
        return self._was_idle and self._now_s() - self._wrote_at_s >= REST_S

    def begin(self) -> None:
        """There was a commit."""
        self._wrote_at_s = self._now_s()
        self._was_idle = False
        if not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_soon(self._look, None)

    def _look(self, before_s: float | None) -> None:
        now_s = self._now_s()
        self._was_idle = before_s is not None and now_s - before_s < IDLE_TURN_S
        self._looks = not self._was_idle and now_s - self._wrote_at_s < LOOKS_MAX_S
        if self._looks:
            asyncio.get_running_loop().call_soon(self._look, now_s)

"""When a batch is complete: as soon as the loop has nothing else to do, for nothing more can join it then.

Under load more entries share a commit, and on an idle loop none waits.
"""

import asyncio
import time

IDLE_TURN_S = 50e-6
"""A turn of the loop that took less did nothing for a call."""
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

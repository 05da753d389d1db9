"""The renewal of a team's key while calls were refused: one at a time, for all who ask, and waited for only briefly."""

import asyncio
from collections.abc import Awaitable, Callable

RENEWAL_WAIT_S = 0.75
"""A caller whose team has no good key is told so within a second."""
ANOTHER_WAIT_S = 5.0
"""Unless its source has another one by then, which is in use as soon as Cohere was asked about it."""


class Renewal:
    """Has the source of a key read again.

    Args:
        renew: Reads it, and has what it finds used; MUST NOT raise.
        clock_s: Seconds that only go forward.
    """

    def __init__(self, renew: Callable[[], Awaitable[object]], clock_s: Callable[[], float]) -> None:
        self._renew = renew
        self._clock_s = clock_s
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._patience_end_s = self._hope_end_s = 0.0

    def begin(self) -> asyncio.Task[None]:
        """Begins one, or has the one under way read once more: it may have read the source before it changed."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return self._task

    def begin_for_calls(self) -> None:
        """Begins one that calls wait for, from now on for `RENEWAL_WAIT_S`."""
        self._patience_end_s = self._clock_s() + RENEWAL_WAIT_S
        self.begin()

    def began_for_calls_since(self, at_s: float) -> bool:
        """Whether the last one for calls began after a time, on the clock."""
        return at_s < self._patience_end_s - RENEWAL_WAIT_S

    def another_is_coming(self) -> None:
        """The source was found to hold another version, which is being checked: calls that wait may wait for it."""
        if self._clock_s() < self._patience_end_s:
            self._hope_end_s = self._clock_s() + ANOTHER_WAIT_S

    async def wait_for_calls(self, can_go_on: Callable[[], bool]) -> None:
        """Waits until it is over, as long as calls wait; and longer if another version comes that they could use."""
        await self._wait_until(self._patience_end_s)
        if not can_go_on():
            await self._wait_until(self._hope_end_s)

    async def over(self) -> None:
        """Waits for the one that is under way, if one is."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def close(self) -> None:
        """Gives up what is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _wait_until(self, end_s: float) -> None:
        left_s = end_s - self._clock_s()
        if left_s > 0 and self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=left_s)

    async def _run(self) -> None:
        while self._again:
            self._again = False
            await self._renew()

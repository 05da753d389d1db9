"""Keeps the event loop free: work on large messages goes to a thread, small ones are done in place."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE_REQUEST_BYTES = 128 * 1024
"""A request of 1 MiB can be 5,000 tiny messages, and take 50 ms to parse, check and encode."""
LARGE_ANSWER_BYTES = 1024 * 1024
"""An answer is large by its numbers: 800 kB of base64 vectors take 0.3 ms."""

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread_if(large: bool, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: FBT001
    """Runs *work* here, or in a thread if it is *large*; there it MUST touch nothing that is shared."""
    if not large:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)

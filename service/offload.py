"""Keeps the event loop free: work on large messages goes to a thread, small ones are done in place."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

LARGE_BYTES = 64 * 1024
"""A request of 1 MiB can be 5,000 tiny messages, an answer thousands of citations: 50 to 400 ms of work."""
LARGE_PACKED_BYTES = 4 * 1024 * 1024
"""Vectors in base64 are large and quick: 800 kB take 0.3 ms, less than the way to a thread and back."""

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread_if(large: bool, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: FBT001
    """Runs *work* here, or in a thread if it is *large*; there it MUST touch nothing that is shared."""
    if not large:
        return work(*args, **kwargs)
    call = functools.partial(work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_WORKER, call)


# One thread: more of them share one interpreter, and only make the loop wait for more turns of others.
_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-messages")

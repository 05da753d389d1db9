"""Keeps the event loop free: work on large messages goes to a thread, small ones are done in place."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE_BYTES = 1024 * 1024

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread_if_large(size_bytes: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs *work* here if it is about at most `LARGE_BYTES`, else in a thread, where it MUST touch nothing shared."""
    if size_bytes <= LARGE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)

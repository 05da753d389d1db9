"""Puts the limits together: on the books' counters, by the database's clock and the config in force."""

import contextlib
from collections.abc import AsyncIterator

from service.bookkeeping import Bookkeeping
from service.limits.limit import NO_LIMITS
from service.limits.limits import Limits
from service.reload import Reloader


@contextlib.asynccontextmanager
async def limiting(kept: Bookkeeping, reloader: Reloader) -> AsyncIterator[Limits]:
    """The limits; leaving the context ends what they ask of the database."""
    limits = Limits(
        kept.books,
        kept.clock.now_us,
        lambda team: reloader.snapshot.limits.get(team, NO_LIMITS),
        lambda: reloader.snapshot.loaded.config.server.in_flight_max,
    )
    try:
        yield limits
    finally:
        await limits.close()

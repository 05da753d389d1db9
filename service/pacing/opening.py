"""Opens the pacer of this process, whose turns lie beside the books."""

import contextlib
from collections.abc import AsyncIterator

from clients.pacing.errors import PaceLost
from clients.pacing.pacer import Pacer, Told
from service.bookkeeping import Bookkeeping
from service.pacing.rows import Paces


@contextlib.asynccontextmanager
async def pacing(kept: Bookkeeping, told: Told) -> AsyncIterator[Pacer]:
    """A pacer, which paces nobody before it takes a config over."""
    paces = Paces(kept.database)
    with contextlib.suppress(PaceLost):  # the next start forgets as well
        await paces.forget()
    pacer = Pacer(paces, told)
    try:
        yield pacer
    finally:
        pacer.close()

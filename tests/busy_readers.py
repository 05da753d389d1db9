"""A database whose readers are all at work, as long reports keep them."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import AsyncIterator

from service.storage.database import Database, Transaction
from service.storage.postgres import READERS_MAX

PATIENCE_S = 60.0


@contextlib.asynccontextmanager
async def busy_readers(database: Database) -> AsyncIterator[None]:
    """Inside the context whoever asks *database* for a read waits."""
    loop = asyncio.get_running_loop()
    begun = asyncio.Semaphore(0)
    released: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def report(transaction: Transaction) -> None:
        await transaction.fetch("SELECT 1")
        loop.call_soon_threadsafe(begun.release)
        if database.engine == "sqlite":  # in the reader's thread, which may wait
            released.result(PATIENCE_S)
        else:
            await asyncio.wrap_future(released)

    reports = [asyncio.create_task(database.read(report)) for _ in range(_READERS[database.engine])]
    async with asyncio.timeout(PATIENCE_S):
        for _ in reports:
            await begun.acquire()
    try:
        yield
    finally:
        released.set_result(None)
        await asyncio.gather(*reports)


_READERS = {"sqlite": 1, "postgres": READERS_MAX}

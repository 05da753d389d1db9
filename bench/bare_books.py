"""Books that write the bytes of a batch to a file and wait for the disk: no ledger, no chain, no database.

What a call waits for them is the least that two commits cost by Cohort's way to the disk, whatever is committed.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from unittest.mock import patch

from service.books.batch import Written
from service.books.batch_writer import BatchWriter
from service.books.entries import Admission, Admitted, Entry, Settled, Settlement
from service.books.period import Period, period_at
from service.books.trail import Pen
from service.storage.kernel_sync import kernel_sync

_FILE_BYTES = 64 * 1024 * 1024
"""Written beforehand and then again and again, so that the disk has no blocks to find."""
_BATCH_BYTES_MAX = 1024 * 1024

Bring: TypeAlias = Callable[[bytes], Awaitable[None]]


@contextlib.asynccontextmanager
async def bare_books(file: Path) -> AsyncIterator[None]:
    """Makes them the books of the service that runs inside; what is neither admitted nor settled goes to real ones.

    Args:
        file: Where to. It is made.
    """
    real = BatchWriter.write
    async with _bringing(file) as bring:

        async def write(
            writer: BatchWriter,
            entries: Sequence[Entry],
            pen: Pen,
            periods: Mapping[str, Period],
            now_us: int,
            *limit: float | None,
        ) -> Written:
            taken = [_taken(entry, now_us) for entry in entries if isinstance(entry, Admission | Settlement)]
            if len(taken) < len(entries):
                return await real(writer, entries, pen, periods, now_us, *limit)
            await bring(b"".join(body for body, _ in taken))
            results = [(entry, result) for entry, (_, result) in zip(entries, taken, strict=True)]
            return Written(results, pen, dict(periods))

        with patch.object(BatchWriter, "write", write):
            yield


@contextlib.asynccontextmanager
async def _bringing(file: Path) -> AsyncIterator[Bring]:
    """What writes bytes and is done once they are on the disk: by the way that Cohort itself takes on this system."""
    loop = asyncio.get_running_loop()
    place = 0
    with file.open("wb", buffering=0) as opened:
        descriptor = opened.fileno()
        opened.write(bytes(_FILE_BYTES))
        os.fsync(descriptor)
        kernel = await kernel_sync(descriptor)

        async def bring(batch: bytes) -> None:
            nonlocal place
            place = (place + os.pwrite(descriptor, batch, place)) % (_FILE_BYTES - _BATCH_BYTES_MAX)
            if kernel is None:
                await loop.run_in_executor(None, os.fdatasync, descriptor)
                return
            ended: asyncio.Future[OSError | None] = loop.create_future()
            kernel.begin(descriptor, ended.set_result)
            error = await ended
            if error is not None:
                raise error

        try:
            yield bring
        finally:
            if kernel is not None:
                kernel.close()


def _taken(entry: Admission | Settlement, now_us: int) -> tuple[bytes, Admitted | Settled]:
    """The record's body, and what the entry's `done` gives."""
    if isinstance(entry, Admission):
        period = period_at(entry.zone, now_us)
        return entry.intent(period), Admitted(period, now_us, entry.hold_nanos)
    return entry.outcome.body, Settled(0)

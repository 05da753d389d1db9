"""Cohort with a stopwatch round its two records: what each accepted call waits for them, to the call.

Run as `python -m bench.stopwatch CONFIG`: serves as `cohort serve` does, and on SIGUSR1 writes every wait since the
last time as a line of JSON. Apart from the servers whose CPU is compared, for the stopwatch costs some.
With `--bare FILE` the books are those of `bench.bare_books`, which write to FILE.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import uvloop

from bench.bare_books import bare_books
from service import config, server
from service.books.batch import Written
from service.books.batch_writer import BatchWriter
from service.books.books import Books
from service.books.entries import Admission, Admitted, Entry, Settled, Settlement

EVENT = "waits"


class Stopwatch:
    """Adds up what a call waits for the books to admit it and to settle it, and counts commits.

    Args:
        now_s: The time, in seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.perf_counter) -> None:
        self._now_s = now_s
        self._admitted_s: dict[str, float] = {}
        self._waits_s: list[float] = []
        self._commits = self._entries = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Measures inside the context."""
        admit, settle, write = Books.admit, Books.settle, BatchWriter.write

        async def timed_admit(books: Books, admission: Admission, after: Settlement | None = None) -> Admitted:
            started_s = self._now_s()
            admitted = await admit(books, admission, after)
            self._admitted_s[admission.call_id] = self._now_s() - started_s
            return admitted

        async def timed_settle(books: Books, settlement: Settlement) -> Settled:
            started_s = self._now_s()
            settled = await settle(books, settlement)
            self._waits_s.append(self._admitted_s.pop(settlement.call_id) + self._now_s() - started_s)
            return settled

        async def counted_write(writer: BatchWriter, entries: Sequence[Entry], *rest: Any) -> Written:
            self._commits += 1
            self._entries += len(entries)
            return await write(writer, entries, *rest)

        with (
            patch.object(Books, "admit", timed_admit),
            patch.object(Books, "settle", timed_settle),
            patch.object(BatchWriter, "write", counted_write),
        ):
            yield

    def told(self) -> dict[str, object]:
        """Everything since the last time, the waits in seconds."""
        told = {"event": EVENT, "waits_s": self._waits_s, "commits": self._commits, "entries": self._entries}
        self._waits_s = []
        self._commits = self._entries = 0
        return told


async def _serve(config_file: Path, bare_file: Path | None) -> None:
    stopwatch = Stopwatch()

    def tell() -> None:
        sys.stdout.buffer.write(orjson.dumps(stopwatch.told()) + b"\n")
        sys.stdout.buffer.flush()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    async with contextlib.AsyncExitStack() as stack:
        if bare_file is not None:
            await stack.enter_async_context(bare_books(bare_file))
        stack.enter_context(stopwatch.held())
        await server.serve(config.load(config_file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.stopwatch")
    parser.add_argument("config", type=Path)
    parser.add_argument("--bare", type=Path)
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.config, arguments.bare))

"""How long the disk itself takes for what every commit waits for."""

import os
import tempfile
import time
from pathlib import Path

from bench.spread import Spread

_PAGE_BYTES = 4096
_PAGES = 1024
_TIMES = 1000
_SECONDS_MAX = 2.0
"""A disk that is slow is known after fewer times."""


def sync_times(folder: Path) -> Spread:
    """Writes a page into a file that has its blocks, and waits for fdatasync(2), again and again.

    Args:
        folder: On the file system that is asked about; the file is gone afterwards.
    """
    took_s: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PAGE_BYTES * _PAGES))
        file.flush()
        os.fsync(file.fileno())
        while len(took_s) < _TIMES and sum(took_s) < _SECONDS_MAX:
            os.pwrite(file.fileno(), b"x" * _PAGE_BYTES, len(took_s) % _PAGES * _PAGE_BYTES)
            started_s = time.perf_counter()
            os.fdatasync(file.fileno())
            took_s.append(time.perf_counter() - started_s)
    return Spread.of(took_s)

"""Notices changed files by looking at them once a second.

Polling instead of inotify: it sees the symlink swap of a mounted Kubernetes secret and works on any file system.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

INTERVAL_S = 1.0

_log = structlog.get_logger()

Stamp = tuple[tuple[str, int, int, int], ...]


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """What changes when any of the files does: its path, inode, size and time of change in nanoseconds."""
    stamp = []
    for path in paths:
        try:
            stat = path.stat()
        except (OSError, ValueError):  # gone, or no path at all
            stamp.append((str(path), 0, 0, 0))
        else:
            stamp.append((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(stamp)


async def watch(
    paths: Callable[[], list[Path]],
    changed: Callable[[], object],
    interval_s: float = INTERVAL_S,
    seen: Stamp | None = None,
) -> None:
    """Calls *changed* after a change of any of *paths*, until cancelled.

    Args:
        paths: The files to look at now; asked every time, for a reload may change them.
        changed: What to do.
        interval_s: Seconds between two looks.
        seen: What the files were when they were read; absent = as they are now.
    """
    seen = stamp_of(paths()) if seen is None else seen
    while True:
        await asyncio.sleep(interval_s)
        now = stamp_of(paths())
        if now != seen:
            try:
                changed()
            except Exception as error:
                # One bad edit must not end the watch: the next one may be good.
                _log.error("change not taken", exc_info=error)
            # What is written while they are read is another change; files that are new to the watch were just read.
            before = {file[0]: file for file in now}
            seen = tuple(before.get(file[0], file) for file in stamp_of(paths()))

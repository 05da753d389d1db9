"""Where files live that need not survive: in memory, if there is room, as there is no disk to wait for."""

import shutil
from pathlib import Path

_FREE_MIN_BYTES = 1 << 30


def memory_folder() -> Path | None:
    """A folder for temporary files in memory; None where there is none, or it is small."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free >= _FREE_MIN_BYTES else None

"""The outside copy of the checkpoints: a file that is only ever appended to, one line of JSON each.

It should lie where whoever can write the database cannot write. Opened for each append, so that the mount it lies
on may come and go.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.books.checkpoint import Malformed, Signed, line_parsed

_BLOCK_BYTES = 64 * 1024


class CheckpointFile:
    """The file. Its methods block; one caller at a time.

    Args:
        path: Where; made with mode 0600 if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self) -> Signed | None:
        """The last whole line; None if there is none. A line cut off by a crash is passed over.

        Raises:
            OSError: The file cannot be read.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            for line in _lines_backwards(descriptor):
                try:
                    return line_parsed(line)
                except Malformed:
                    continue
        finally:
            os.close(descriptor)
        return None

    def append(self, checkpoints: Sequence[Signed]) -> None:
        """Appends checkpoints; they are on the disk when this returns.

        Raises:
            OSError: They may be there in part; what was cut off is passed over later.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            bytes_before = os.fstat(descriptor).st_size
            cut_off = bytes_before > 0 and os.pread(descriptor, 1, bytes_before - 1) != b"\n"
            left = (b"\n" if cut_off else b"") + b"".join(checkpoint.line() for checkpoint in checkpoints)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not bytes_before:
            self._keep_name()

    def _keep_name(self) -> None:
        """Makes the name of a new file durable too."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _lines_backwards(descriptor: int) -> Iterator[bytes]:
    """The lines of a file from its last, without reading more of it than they take."""
    end = os.fstat(descriptor).st_size
    tail = b""
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        first, *lines = (os.pread(descriptor, end - start, start) + tail).split(b"\n")
        yield from reversed(lines)
        end, tail = start, first
    yield tail

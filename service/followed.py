"""A value made from files: made again when they change, and kept as it was while they cannot be used."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from service.watch import Stamp, stamp_of

Value = TypeVar("Value")

_log = structlog.get_logger()


class FileUnusable(Exception):
    """A file is not what it should be.

    Attributes:
        problem: What is wrong, without the content.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class Followed(Generic[Value]):
    """A value and the files it is made from; may be looked at from several threads.

    Args:
        kind: What the value is, for the log.
        paths: The files.
        read: Makes the value of what the files hold now; raises OSError or FileUnusable if that is impossible.

    Raises:
        OSError: A file cannot be read.
        FileUnusable: A file does not hold what it should.
    """

    def __init__(self, kind: str, paths: Sequence[Path], read: Callable[[], Value]) -> None:
        self.kind = kind
        self.paths = tuple(paths)
        self._read = read
        self._lock = threading.Lock()
        self._stamp = stamp_of(self.paths)
        self._told: Stamp | None = None
        self.value = read()
        """As of the last look."""

    def look(self) -> Value:
        """The value as of now. Files that cannot be used are told of once, and tried again at each look."""
        with self._lock:
            # Before the read: what is written during it is another change.
            stamp = stamp_of(self.paths)
            if stamp != self._stamp:
                self._renew(stamp)
            return self.value

    def _renew(self, stamp: Stamp) -> None:
        try:
            self.value = self._read()
        except (OSError, FileUnusable) as error:
            if stamp != self._told:
                self._told = stamp
                _log.error(f"{self.kind} not readable", file=str(self.paths[0]), problem=problem_of(error))
            return
        self._stamp, self._told = stamp, None
        _log.info(f"{self.kind} read again", file=str(self.paths[0]))


def problem_of(error: OSError | FileUnusable) -> str:
    """What an operator has to know of it."""
    return error.problem if isinstance(error, FileUnusable) else error.strerror or type(error).__name__

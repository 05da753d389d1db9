"""One thread that does what it is given, in order: a SQLite connection lives and dies in it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from service.storage.errors import DatabaseUnavailable

T = TypeVar("T")
_Job: TypeAlias = "tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any]]"


class Worker:
    """A daemon thread: a process that dies takes it along, and SQLite's file is made for that.

    Args:
        name: The thread's.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._held: list[_Job | None] | None = None
        self._last: asyncio.Future[None] | None = None
        self._given = self._done = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """It does nothing, and would do a job at once."""
        return self._given == self._done and self._held is None and not self.is_closed

    @property
    def is_closed(self) -> bool:
        """It takes no more jobs."""
        return self._last is not None

    def hold(self) -> None:
        """Begins no job until `release`: while it is idle, what it does jobs on is needed elsewhere."""
        self._held = []

    def release(self) -> None:
        """Goes on, with what it was given meanwhile."""
        held, self._held = self._held or [], None
        for entry in held:
            self._jobs.put(entry)

    async def run(self, job: Callable[[], T]) -> T:
        """Does *job* in the thread, after those given before, whether the caller still waits or not.

        Raises:
            DatabaseUnavailable: The worker is closed.
        """
        if self.is_closed:
            raise DatabaseUnavailable("The database is closed")
        return await self.give(job)

    async def close(self, job: Callable[[], None]) -> None:
        """Does *job* after those given before, then ends the thread. Whoever comes second waits for the same end."""
        if self._last is None:
            self._last = self.give(job)
            self._put(None)
        await asyncio.wait({self._last})  # so that a caller who leaves does not cancel it for the others
        self._last.result()

    def give(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        """What *job* will have given; nobody has to wait for it. MUST NOT be called after `close`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._given += 1
        self._put((job, loop, done))
        return done

    def _put(self, entry: "_Job | None") -> None:
        if self._held is None:
            self._jobs.put(entry)
        else:
            self._held.append(entry)

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, loop, done = entry
            try:
                result, error = job(), None
            except BaseException as raised:
                result, error = None, raised
            self._done += 1
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_deliver, done, result, error)
            del entry, job, done, result, error  # the thread may wait long for the next one


def _deliver(done: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)

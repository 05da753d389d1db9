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
        afterwards: What is to be done after each job, when its result is on its way.
    """

    def __init__(self, name: str, afterwards: Callable[[], None] | None = None) -> None:
        self._afterwards = afterwards
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._given = self._done = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """It does nothing, not even what is to be done afterwards, and would take a job."""
        return self._given == self._done and not self._closed

    async def run(self, job: Callable[[], T]) -> T:
        """Does *job* in the thread, after those given before, whether the caller still waits or not.

        Raises:
            DatabaseUnavailable: The worker is closed.
        """
        if self._closed:
            raise DatabaseUnavailable("The database is closed")
        return await self._put(job)

    async def close(self, job: Callable[[], None]) -> None:
        """Does *job* after those given before, then ends the thread. A second time it does nothing."""
        if self._closed:
            return
        self._closed = True
        last = self._put(job)
        self._jobs.put(None)
        await last

    def _put(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._given += 1
        self._jobs.put((job, loop, done))
        return done

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, loop, done = entry
            try:
                result, error = job(), None
            except BaseException as raised:
                result, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_deliver, done, result, error)
            del entry, job, done, result, error  # the thread may wait long for the next one
            if self._afterwards is not None:
                self._afterwards()
            self._done += 1


def _deliver(done: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)

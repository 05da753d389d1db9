"""A few threads for clients that block: what hangs in one keeps neither the loop nor the end of the process waiting."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

R = TypeVar("R")


class Threads:
    """At most so many; they start with the first work.

    No executor of `concurrent.futures`: the interpreter waits for those at its end, and a server that answers by drops
    outlasts the timeouts of a client.

    Args:
        name: Theirs.
        count: How many.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    async def run(self, act: Callable[[], R]) -> R:
        """Does *act* in one of them. Who stops waiting takes it back, if it has not begun."""
        future: Future[R] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(act())
                except BaseException as error:  # whatever it is, it is for who waits
                    future.set_exception(error)

        if not self._started:
            self._started = True
            for _ in range(self._count):
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._work.put(work)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Has each of them end once it is free."""
        for _ in range(self._count):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # with what came of it, which may be a key

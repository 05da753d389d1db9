"""Work that is done once for all who ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Pieces of work under way, by what they are for.

    Each belongs to nobody: whoever leaves takes it from none of the others.
    """

    def __init__(self) -> None:
        self._tasks: dict[bytes, asyncio.Task[T]] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    async def join(self, key: bytes, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None = None) -> T:
        """Waits for the work of that key, which begins now unless it is under way.

        Raises:
            TimeoutError: It takes longer than *timeout_s*, or was ended by `close`.
        """
        task = self.begin(key, work)
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.done() or task.cancelled():
            raise TimeoutError
        return task.result()

    def begin(self, key: bytes, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Begins the work of that key unless it is under way, for whoever may come; nobody has to wait for it."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def close(self) -> None:
        """Ends all work under way."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, key: bytes, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # looked at here, should nobody wait for it any more

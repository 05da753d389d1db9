"""An event loop in simulated time, on which whole processes can stand still or crash.

What a process schedules runs in a context that names it; so the loop can hold back all of it, and nothing else.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_process: "ContextVar[Process | None]" = ContextVar("process", default=None)

NOBODY = Context()
"""The context of what belongs to no process, and goes on when they do not."""


class Process:
    """While it is stopped nothing of it runs, as after SIGSTOP; one that has crashed is stopped for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = Context()
        self._context.run(_process.set, self)
        self._backlog: list[Callable[[], Any]] = []
        self.is_stopped = False
        self.has_crashed = False

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begins a task of this process."""
        return self._loop.create_task(coroutine, context=self._context)

    def run(self, callback: Callable[..., Any], *args: Any) -> None:
        """Runs a callback of this process, now or when it goes on."""
        if self.is_stopped:
            self._backlog.append(partial(copy_context().run, callback, *args))
        else:
            callback(*args)

    def wake(self) -> None:
        """Goes on, unless it has crashed meanwhile."""
        if not self.has_crashed:
            self.resume()

    def resume(self) -> None:
        """Goes on, first with what has become due meanwhile."""
        self.is_stopped = False
        backlog, self._backlog = self._backlog, []
        for callback in backlog:
            self._loop.call_soon(callback, context=NOBODY)


def current_process() -> Process | None:
    """The process that runs; None for what belongs to none."""
    return _process.get()


class SimulatedLoop(asyncio.BaseEventLoop):
    """Its time passes when there is nothing left to do. The order of events depends on nothing outside."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self  # the base class asks it to wait until the next timer
        self._now_s = 0.0

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> Sequence[Any]:
        """Waits for nothing but the time."""
        if timeout is None:
            raise RuntimeError("everybody waits for ever")
        self._now_s += timeout
        return ()

    def _process_events(self, events: Sequence[Any]) -> None:
        """There are no files to watch."""

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        process = _process_of(context)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        planned = _Planned(process, callback)
        planned.handle = super().call_soon(cast("Callable[[*Ts], object]", planned), *args, context=context)
        return planned.handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        process = _process_of(context)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        planned = _Planned(process, callback)
        callback = cast("Callable[[*Ts], object]", planned)
        planned.handle = handle = super().call_at(when, callback, *args, context=context)
        return handle


class _Planned:
    """What a process has planned: it happens when the process runs, unless it is cancelled while that stands still."""

    def __init__(self, process: Process, callback: Callable[..., object]) -> None:
        self._process = process
        self._callback = callback
        self.handle: asyncio.Handle

    def __call__(self, *args: Any) -> None:
        self._process.run(self._happen, *args)

    def _happen(self, *args: Any) -> None:
        if not self.handle.cancelled():
            self._callback(*args)


def _process_of(context: Context | None) -> Process | None:
    return _process.get() if context is None else context.get(_process)

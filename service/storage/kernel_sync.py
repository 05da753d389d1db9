"""Brings a file to the disk without a thread: Linux does it beside the process (kernel AIO) and tells the loop.

No other system has it, and a sandbox may forbid it: whether it is there is found out by trying.
"""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from caio.linux_aio import Context

Ended = Callable[[OSError | None], None]
"""Takes how a sync ended: None if all that was written before it began is on the disk, else it may not be."""

_ERRNO_MAX = 4095
"""The kernel's own bound."""

_spare_contexts: "list[Context]" = []
"""To give one back to the kernel takes 40 ms, and the interpreter waits."""


class FileSync(Protocol):
    """Brings files to the disk beside the loop, one at a time."""

    def begin(self, descriptor: int, ended: Ended) -> None:
        """Begins with a file; *ended* is called once, in the loop, when it is over or before this returns."""
        ...

    def close(self) -> None:
        """Leaves the loop alone; nothing may be under way."""
        ...


class KernelSync:
    """fdatasync(2) as an operation of the kernel's (`IOCB_CMD_FDSYNC` of io_submit(2)), for the running loop.

    Raises:
        ImportError: The kernel has no AIO, or a sandbox forbids it.
        SystemError: It has none to spare.
    """

    def __init__(self) -> None:
        # It looks at the kernel when it is imported.
        self._aio: Any = importlib.import_module("caio.linux_aio")
        self._context: Context = _spare_contexts.pop() if _spare_contexts else self._aio.Context(max_requests=1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._context.fileno, self._look)

    def begin(self, descriptor: int, ended: Ended) -> None:
        try:
            self.submit(descriptor, ended)
        except Exception:  # no memory, or no right to it any more: then a thread waits, as without a kernel's help
            waiting = self._loop.run_in_executor(None, _fdatasync, descriptor)
            waiting.add_done_callback(lambda done: ended(done.result()))

    def submit(self, descriptor: int, ended: Ended) -> None:
        """Begins with a file, or refuses.

        Raises:
            Exception: The kernel does not take it; *ended* will not be called.
        """
        operation = self._aio.Operation.fdsync(descriptor)
        operation.set_callback(lambda result: ended(_error(result)))
        self._context.submit(operation)

    def close(self) -> None:
        self._loop.remove_reader(self._context.fileno)
        _spare_contexts.append(self._context)

    def _look(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._context.poll()
        self._context.process_events(1)


async def kernel_sync(descriptor: int) -> KernelSync | None:
    """The kernel's, if it brings this file to the disk; None if that has to be done in a thread."""
    try:
        sync = KernelSync()
    except (ImportError, SystemError):
        return None
    tried: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()

    def ended(error: OSError | None) -> None:
        if error is not None or tried.done():  # done: whoever asked has left
            sync.close()
        if not tried.done():
            tried.set_result(error)

    try:
        sync.submit(descriptor, ended)
    except Exception:
        sync.close()
        return None
    return sync if await tried is None else None


def _fdatasync(descriptor: int) -> OSError | None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        return error
    return None


def _error(result: int) -> OSError | None:
    """Of the kernel's result, which arrives as an unsigned number: 0, or 2**64 less the errno."""
    if result == 0:
        return None
    number = 2**64 - result
    return OSError(number, os.strerror(number)) if number <= _ERRNO_MAX else OSError(f"fdatasync ended with {result}")

"""Brings a file to the disk without a thread: Linux does it beside the process (kernel AIO) and tells the loop.

No other system has it, and a sandbox may forbid it: whether it is there is found out by trying.
"""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Callable
from typing import Any, Protocol

Ended = Callable[[OSError | None], None]
"""Takes how a sync ended: None if all that was written before it began is on the disk, else it may not be."""

_spare_contexts: list[Any] = []
"""To give one back to the kernel takes 40 ms, and the interpreter waits."""


class FileSync(Protocol):
    """Brings files to the disk beside the loop, one at a time."""

    def begin(self, descriptor: int, ended: Ended) -> None:
        """Begins with a file; *ended* is called in the loop when it is over, or before this returns."""
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
        self._aio = importlib.import_module("caio.linux_aio")
        self._context = _spare_contexts.pop() if _spare_contexts else self._aio.Context(max_requests=1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._context.fileno, self._look)

    def begin(self, descriptor: int, ended: Ended) -> None:
        operation = self._aio.Operation.fdsync(descriptor)
        operation.set_callback(lambda result: ended(_error(result)))
        try:
            self._context.submit(operation)
        except Exception as error:
            ended(OSError(f"fdatasync was not taken: {error}"))

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
    sync.begin(descriptor, lambda error: None if tried.done() else tried.set_result(error))
    if await tried is None:
        return sync
    sync.close()
    return None


def _error(result: int) -> OSError | None:
    """Of the kernel's result, which arrives as an unsigned number: 0, or 2**64 less the errno."""
    return OSError(2**64 - result, os.strerror(2**64 - result)) if result else None

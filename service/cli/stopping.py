"""Waiting for the end of a command that serves."""

import asyncio
import signal


def stop_requested() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set. Must be called in the running loop of the main thread."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop

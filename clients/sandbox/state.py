"""Everything the sandbox remembers between two requests, each part with a bound."""

import asyncio
import random
import uuid
from collections.abc import Callable
from pathlib import Path

from clients.sandbox.bill import Bill
from clients.sandbox.faults import FaultQueue
from clients.sandbox.keys import KeyRing
from clients.sandbox.limits import MINUTE_S, RateLimits
from clients.sandbox.request_log import RequestLog


class State:
    """Keys, bill, limits, faults and requests of one sandbox.

    Attributes:
        clock: Seconds, monotonic.
        closing: Set when the server stops, for handlers that would wait for ever.
    """

    def __init__(
        self, *, seed: int, clock: Callable[[], float], bill_file: Path | None, minute_s: float = MINUTE_S
    ) -> None:
        self.keys = KeyRing()
        self.bill = Bill(bill_file)
        self.limits = RateLimits(clock, minute_s)
        self.faults = FaultQueue()
        self.requests = RequestLog()
        self.clock = clock
        self.closing = asyncio.Event()
        self._seed = seed
        self._random = random.Random(seed)

    def reset(self) -> None:
        """Back to the beginning."""
        self.keys.reset()
        self.bill.reset()
        self.limits.reset()
        self.faults.clear()
        self.requests.clear()
        self._random.seed(self._seed)

    def new_id(self) -> str:
        """The id of an answer: the same sequence for the same seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_trace_id(self) -> str:
        """The value of x-debug-trace-id."""
        return f"{self._random.getrandbits(128):032x}"

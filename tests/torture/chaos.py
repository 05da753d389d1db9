"""What happens to the processes meanwhile: kills, pauses, crashes of the database, faults of Cohere. All by a seed."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from tests.postgres_server import PostgresServer
from tests.torture.fleet import Fleet, Replica
from tests.torture.load import Load

KILL_S, PAUSE_EVERY_S, PAUSE_S, AWAY_S, FAULT_S = (1, 2.5), (1, 3), (0.3, 5), (0, 1), (0.05, 0.2)
CRASH_S = (8, 10)

FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 500},
    {"status": 503},
    {"status": 502, "body": "html", "billed": True},
    {"status": 422, "error_type": "INVALID_TOOL_GENERATION", "billed": True},
    {"status": 429},
    {"status": 429, "retry_after": 0, "times": 2},
    {"status": 400},
    {"disconnect": True},
    {"disconnect": True, "reset": True},
    {"cut_after_bytes": 40},
    {"cut_after_bytes": 300, "reset": True},
    {"cut_after_events": 3, "stream": True},
    {"eof_after_events": 2, "stream": True},
    {"stall_after_events": 2, "stream": True},
    {"silence": True},
    {"latency_ms": 500, "times": 5},
    {"chunk_gap_ms": 20, "stream": True, "times": 5},
    {"malformed": "syntax"},
    {"in_band_error": "SOMETHING_NEW", "path": "/v2/chat"},
    *({"usage": usage} for usage in ("missing", "null", "negative", "nan", "fractional", "huge")),
)


@dataclass
class Toll:
    """What was done to them, and how long it took to recover."""

    done: Counter[str] = field(default_factory=Counter)
    restarts_s: list[float] = field(default_factory=list)
    """From the start of a replica until it serves."""
    recoveries_s: list[float] = field(default_factory=list)
    """From the database's return until the next answer."""


class Chaos:
    """Goes on while the context is open; leaving it lets everything run.

    Args:
        fleet: Whom it befalls.
        load: Whose answers tell that they have recovered.
        postgres: The server, if that is where the books are kept.
        seed: Of all that happens.
        crash_s: The least and the most time between two crashes of the server.
    """

    def __init__(
        self,
        fleet: Fleet,
        load: Load,
        postgres: PostgresServer | None,
        seed: int,
        crash_s: tuple[float, float] = CRASH_S,
    ) -> None:
        self.toll = Toll()
        self._fleet = fleet
        self._load = load
        self._postgres = postgres
        self._random = random.Random(seed)
        self._crash_s = crash_s
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._restarts: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        plagues: list[tuple[Callable[[], Awaitable[None]], tuple[float, float]]] = [
            (self._kill, KILL_S),
            (self._pause, PAUSE_EVERY_S),
            (self._fault, FAULT_S),
        ]
        if self._postgres is not None:
            plagues.append((self._crash, self._crash_s))
        self._tasks = [asyncio.create_task(self._again_and_again(*plague)) for plague in plagues]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*self._restarts)
        async with aiohttp.ClientSession() as http:
            (await http.delete(f"{self._fleet.sandbox_url}/sandbox/faults")).raise_for_status()

    async def _again_and_again(self, plague: Callable[[], Awaitable[None]], every_s: tuple[float, float]) -> None:
        while not await self._ended_within(self._random.uniform(*every_s)):
            await plague()

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return False
        return True

    async def _kill(self) -> None:
        """Kills one, paused or not, unless half of the others are down already: somebody has to be killed at work."""
        serving = [each for each in self._fleet.replicas if each.is_up]
        if len(serving) * 2 < len(self._fleet.replicas):
            return
        victim = self._random.choice(serving)
        victim.kill()
        self.toll.done["kills"] += 1
        self._restarts.append(asyncio.create_task(self._restart(victim)))

    async def _restart(self, victim: Replica) -> None:
        self.toll.restarts_s.append(await victim.started())

    async def _pause(self) -> None:
        serving = [each for each in self._fleet.replicas if each.is_up]
        if not serving:
            return
        victim = self._random.choice(serving)
        victim.send(signal.SIGSTOP)
        await self._ended_within(self._random.uniform(*PAUSE_S))
        victim.send(signal.SIGCONT)
        self.toll.done["pauses"] += 1

    async def _crash(self) -> None:
        assert self._postgres is not None
        await asyncio.to_thread(self._postgres.stop, "immediate")
        await self._ended_within(self._random.uniform(*AWAY_S))
        await asyncio.to_thread(self._postgres.start)
        back_s = time.monotonic()
        await self._load.answered()
        self.toll.recoveries_s.append(time.monotonic() - back_s)
        self.toll.done["database crashes"] += 1

    async def _fault(self) -> None:
        fault = self._random.choice(FAULTS)
        async with aiohttp.ClientSession() as http:
            posted = await http.post(f"{self._fleet.sandbox_url}/sandbox/faults", json={"faults": [fault]})
        self.toll.done["faults"] += posted.ok  # the queue may be full of such as nobody met

"""Pacers in simulated time: nobody sleeps, and what happens is always the same."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from clients.pacing.allowance import Allowance
from clients.pacing.load import Demand, Load
from clients.pacing.pacer import Pacer
from clients.pacing.row import PaceRow
from tests.pacing.memory_row import KEY, MemoryRow, Told
from tests.simulation.simulated_time import SimulatedLoop

T = TypeVar("T")
CHAT: Load = (Demand("chat command-a-03-2025", 1),)
FOR_EVER_S = 1e6


def simulated(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs it on a clock that passes only when everybody waits."""
    loop = SimulatedLoop()
    try:
        return loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def embed(texts: int, images: int = 0) -> Load:
    return tuple(Demand(name, count) for name, count in (("embed texts", texts), ("embed images", images)) if count)


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Replica:
    """One process' pacer, and what it let go, and when."""

    def __init__(
        self, row: PaceRow | None = None, *, teams: str = "ab", allowance: Allowance | None = None,
        minute_us: int = 60_000_000,
    ) -> None:  # fmt: skip
        self.told = Told()
        self.pacer = Pacer(row or MemoryRow(), self.told, minute_us=minute_us)
        self.pacer.take_over(dict.fromkeys(teams, allowance or Allowance()))
        self.sent: list[tuple[str, int, int]] = []
        """Whose, when on the loop's clock in µs, how much."""

    async def send(self, team: str = "a", load: Load = CHAT, timeout_s: float = FOR_EVER_S) -> float:
        """Waits for a turn; returns for how long."""
        began_s = now_s()
        await self.pacer.turn(team, KEY, load, began_s + timeout_s)
        self.sent.append((team, int(now_s() * 1e6), load[0].amount))
        return now_s() - began_s

    def amount_of(self, team: str, since_s: float = 0.0) -> int:
        return sum(amount for whose, at_us, amount in self.sent if whose == team and at_us >= since_s * 1e6)

    @property
    def counted(self) -> list[tuple[int, int]]:
        return [(at_us, amount) for _, at_us, amount in self.sent]

"""What limits and pacing cost a call that meets none: CPU of its permits, its turn and its trailers."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from yarl import URL

from clients.cohere_key import CohereKey
from clients.key_ring import KeyRing
from clients.pacing.allowance import Allowance
from clients.pacing.load import load_of
from clients.pacing.pacer import Pacer
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.identity.principal import Principal
from service.limits.limit import Limit, TeamLimits
from service.limits.limits import Limits
from service.pacing.rows import Paces
from service.storage.database import Database
from service.storage.migrate import migrate
from service.storage.opening import open_database
from service.telemetry.metrics import Metrics

ROUNDS = 5
SO_MANY = 10**12
"""Of everything, so that nothing is met."""
_TEAM = "bench"
_CALLER = Principal(_TEAM, "bench", frozenset(), "access_key", "bench")
_CHAT = ChatRequest(model="command-a-03-2025")
_EMBED = EmbedRequest(model="embed-v4.0", texts=["a text"] * 96)


@dataclass(frozen=True, slots=True)
class LimitCost:
    """What one call costs."""

    workload: str
    cpu_us: float
    """Of this thread, of limits and pacing together, above what a call without them costs; of `ROUNDS` rounds each,
    the least."""


def limit_costs(calls: int = 20_000) -> list[LimitCost]:
    """Measures what stands before and after every call of a team with each kind of limit and a paced Cohere key.

    Args:
        calls: In each round.
    """
    return asyncio.run(_measured(calls))


async def _measured(calls: int) -> list[LimitCost]:
    with tempfile.TemporaryDirectory(prefix="cohort-bench-") as folder:
        database = await open_database(f"sqlite:{folder}/books.db")
        await migrate(database)
        try:
            scene = await _Scene.on(database)
            return [
                LimitCost("Chat", await scene.cpu_us(_CHAT, 0, calls)),
                LimitCost("Embed 96", await scene.cpu_us(_EMBED, len(_EMBED.texts), calls)),
            ]
        finally:
            await database.close()


class _Scene:
    """Limits and a pacer on one database.

    Args:
        limits: Of the team.
        pacer: Of its key.
        client: The team's.
    """

    def __init__(self, limits: Limits, pacer: Pacer, client: TeamClient) -> None:
        self._limits, self._pacer, self._client = limits, pacer, client

    @classmethod
    async def on(cls, database: Database) -> "_Scene":
        clock, holder = DatabaseClock(await database.now_us()), f"team:{_TEAM}"
        rates = (
            Limit(holder, "requests_per_minute", SO_MANY),
            Limit(holder, "requests_per_day", SO_MANY, ZoneInfo("Europe/Berlin")),
            Limit(holder, "embed_inputs_per_minute", SO_MANY, of_inputs=True),
        )
        terms = TeamLimits(rates, in_flight_max=SO_MANY)
        books = Books(database, Committer(database, clock, lambda _: None))
        pacer = Pacer(Paces(database), Metrics())
        pacer.take_over({_TEAM: Allowance(chat_requests=SO_MANY, embed_inputs=SO_MANY)})
        keys = KeyRing()
        keys.use(CohereKey("bench", 1))
        client = TeamClient(_TEAM, URL("http://127.0.0.1"), keys, "file")
        return cls(Limits(books, clock.now_us, lambda _: terms, lambda: SO_MANY), pacer, client)

    async def cpu_us(self, request: ChatRequest | EmbedRequest, inputs: int, calls: int) -> float:
        """What the least expensive round cost for each call, above the least expensive one without limits."""
        call: Any = SimpleNamespace(caller=_CALLER, on_record=True, sent=True)
        client, pacer, limits = self._client, self._pacer, self._limits

        async def attempts() -> Slot:
            return await client.slot("chat", pacer, load_of(request), asyncio.get_running_loop().time() + 60)

        async def limited() -> None:
            await limits.run(call, inputs, attempts)
            limits.tightest(_CALLER)

        async def free() -> None:
            await _free(client)

        limited_s = free_s = float("inf")
        for _ in range(ROUNDS + 1):  # the first takes chunks and turns
            limited_s, free_s = min(limited_s, await _round_s(limited, calls)), min(free_s, await _round_s(free, calls))
        return (limited_s - free_s) / calls * 1e6


async def _free(client: TeamClient) -> Slot:
    leave = await client.keys.leave("chat")
    return Slot(leave.key, client.base_url, begun_s=leave.begun_s, trial=leave.trial)


async def _round_s(once: Callable[[], Awaitable[None]], calls: int) -> float:
    began_s = time.thread_time()
    for _ in range(calls):
        await once()
    took_s = time.thread_time() - began_s
    await asyncio.sleep(0.05)  # what is taken ahead of need is taken now
    return took_s

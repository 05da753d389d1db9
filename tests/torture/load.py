"""Callers that never stop asking, some of whom leave, and the journal of what they were told."""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import grpc.aio

from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.budget_pb2 import AdjustBudgetRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from cohort.v1.usage_pb2 import Receipt
from service.money import money_of, nanos_of
from tests.e2e.requests import chat, embed, refusal_of, rerank
from tests.torture.fleet import Fleet, Replica, Team

TIMEOUT_S = 20.0
PAUSE_AFTER_REFUSAL_S = 0.05
ADJUSTMENT_PAUSE_S = 0.5
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


@dataclass
class Journal:
    """What callers were told."""

    calls: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    """Call id → cost in nanos, of every receipt that arrived."""
    served: set[str] = field(default_factory=set)
    """The ids of those whose status was OK; a stream tells its receipt before."""
    failures: dict[str, str] = field(default_factory=dict)
    """Call id → reason, of every failure of Cohere's that was told."""
    ends: Counter[str] = field(default_factory=Counter)
    adjustments: dict[str, int] = field(default_factory=dict)
    """Request id → nanos, of those that were acknowledged."""


class Load:
    """Calls of all teams to all replicas, while the context is open; leaving it waits for the last ones."""

    def __init__(self, fleet: Fleet, seed: int, callers: int) -> None:
        self.journal = Journal()
        self._teams = fleet.teams
        self._channels = [_channel(replica) for replica in fleet.replicas]
        self._stubs: list[Any] = [GatewayServiceStub(channel) for channel in self._channels]
        self._seed = seed
        self._callers = callers
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        randoms = [random.Random(f"{self._seed}/{number}") for number in range(self._callers + 1)]
        self._tasks = [asyncio.create_task(self._ask(each)) for each in randoms[1:]]
        self._tasks.append(asyncio.create_task(self._adjust(randoms[0])))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def answered(self) -> None:
        """Waits for one more answer."""
        seen = len(self.journal.answers)
        while len(self.journal.answers) == seen:
            await asyncio.sleep(0.005)

    async def _ask(self, chance: random.Random) -> None:
        while not self._ending:
            self.journal.calls += 1
            try:
                receipt = await self._one(chance)
            except grpc.aio.AioRpcError as error:
                self._told(error)
                await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)
            except asyncio.CancelledError:
                self.journal.ends["left"] += 1
            else:
                self.journal.ends["answered"] += 1
                self._received(receipt)
                self.journal.served.add(receipt.call_id)

    async def _one(self, chance: random.Random) -> Receipt:
        team, stub = chance.choice(self._teams), chance.choice(self._stubs)
        leaves = chance.random()
        timeout = chance.uniform(0.2, 0.8) if leaves < 0.1 else TIMEOUT_S
        kinds = (self._chat, self._stream, self._embed, self._rerank)
        call = chance.choices(kinds, weights=(40, 30, 20, 10))[0](stub, team, chance, timeout)
        if leaves < 0.9:
            return await call
        task = asyncio.ensure_future(call)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0, 0.1)):
                await asyncio.shield(task)
        task.cancel()
        return await task

    async def _chat(self, stub: Any, team: Team, chance: random.Random, timeout_s: float) -> Receipt:
        request = chat(_question(chance), max_tokens=chance.randint(2, 150))
        receipt: Receipt = (await stub.Chat(request, metadata=_metadata(team), timeout=timeout_s)).receipt
        return receipt

    async def _stream(self, stub: Any, team: Team, chance: random.Random, timeout_s: float) -> Receipt:
        request = chat(_question(chance), max_tokens=chance.randint(2, 50))
        receipt = Receipt()
        async for event in stub.ChatStream(request, metadata=_metadata(team), timeout=timeout_s):
            if event.HasField("message_end"):
                receipt = event.message_end.receipt
                self._received(receipt)
        return receipt

    async def _embed(self, stub: Any, team: Team, chance: random.Random, timeout_s: float) -> Receipt:
        request = embed(_question(chance), "a lake", embedding_types=["int8"])
        receipt: Receipt = (await stub.Embed(request, metadata=_metadata(team), timeout=timeout_s)).receipt
        return receipt

    async def _rerank(self, stub: Any, team: Team, chance: random.Random, timeout_s: float) -> Receipt:
        request = rerank(query=_question(chance))
        receipt: Receipt = (await stub.Rerank(request, metadata=_metadata(team), timeout=timeout_s)).receipt
        return receipt

    async def _adjust(self, chance: random.Random) -> None:
        """An operator who charges, gives back, and asks again when nobody answers."""
        team = self._teams[-1]
        while not self._ending:
            request_id, nanos = str(uuid.UUID(int=chance.getrandbits(128))), chance.randint(-20_000, 100_000)
            request = AdjustBudgetRequest(team=team.name, amount=money_of(nanos), note="-", request_id=request_id)
            for channel in chance.sample(self._channels, len(self._channels)):
                stub: Any = AdminServiceStub(channel)
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.AdjustBudget(request, metadata=_metadata(team), timeout=5)
                    self.journal.adjustments[request_id] = nanos
            await asyncio.sleep(ADJUSTMENT_PAUSE_S)

    def _received(self, receipt: Receipt) -> None:
        self.journal.answers[receipt.call_id] = nanos_of(receipt.cost)

    def _told(self, error: grpc.aio.AioRpcError) -> None:
        refusal = refusal_of(error)
        reason = refusal.reason if refusal.details else refusal.code.name
        self.journal.ends[reason] += 1
        if reason.startswith("COHERE_") and refusal.call_id:
            self.journal.failures[refusal.call_id] = reason


def _channel(replica: Replica) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(replica.address, options=_OPTIONS)


def _metadata(team: Team) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", team.access_key),)


def _question(chance: random.Random) -> str:
    """A text that no other call has."""
    return f"Count to {chance.randint(1, 100)} for {chance.getrandbits(64):016x}"

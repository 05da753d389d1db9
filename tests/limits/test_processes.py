"""Real processes in real minutes: never above the limit, nearly all of it used, and no more lost with one than it held.

Callers ask until they are refused, and again the moment the minute ends. A call counts for a minute if it began and
ended in it; as all of a minute is used long before its end, these are all.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import grpc.aio
import pytest

from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.e2e.requests import refusal_of, rerank
from tests.postgres_server import postgres_server
from tests.torture.fleet import Fleet
from tests.torture.test_torture import running

MINUTE = 1_200
CHUNK = MINUTE // 16
CALLERS = 8
"""Of each replica."""
WHOLE_MINUTES = 2


@dataclass
class Answered:
    """What callers were told, by the minute."""

    whole: Counter[int] = field(default_factory=Counter)
    over_an_edge: int = 0
    lost: Counter[int] = field(default_factory=Counter)
    """Calls that broke off with their replica."""
    refused: Counter[str] = field(default_factory=Counter)


class Callers:
    """Ask all replicas for as long as the context is open, whoever of them still answers."""

    def __init__(self, fleet: Fleet) -> None:
        self.answered = Answered()
        self._metadata = (("x-api-key", fleet.teams[0].access_key),)
        self._channels = [grpc.aio.insecure_channel(replica.address) for replica in fleet.replicas]
        self._stubs: list[Any] = [GatewayServiceStub(channel) for channel in self._channels]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        numbers = range(CALLERS * len(self._stubs))
        self._tasks = [asyncio.create_task(self._ask(number)) for number in numbers]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []

    async def _ask(self, number: int) -> None:
        while True:
            minute = minute_now()
            try:
                await self._stubs[number % len(self._stubs)].Rerank(rerank(), metadata=self._metadata, timeout=20)
            except grpc.aio.AioRpcError as error:
                number += await self._refused(error, minute)
            else:
                if minute == minute_now():
                    self.answered.whole[minute] += 1
                else:
                    self.answered.over_an_edge += 1

    async def _refused(self, error: grpc.aio.AioRpcError, minute: int) -> int:
        """Waits for the next minute, or else says how many replicas further to ask."""
        refusal = refusal_of(error)
        if not refusal.details:
            self.answered.lost[minute] += 1
            return 1
        self.answered.refused[refusal.reason] += 1
        resets_at = datetime.fromisoformat(refusal.info.metadata["resets_at"]).timestamp()
        await asyncio.sleep(max(0.0, resets_at - time.time()))
        return 0


def minute_now() -> int:
    return int(time.time() // 60)


async def asleep_until(minute: int) -> None:
    await asyncio.sleep(max(0.0, minute * 60 - time.time()))


async def minutes_of(fleet: Fleet, *, kills: bool) -> tuple[Answered, list[int]]:
    """Lets some whole minutes pass; in the last of them a replica dies if that is asked for."""
    async with running(fleet), Callers(fleet) as callers:
        minutes = [minute_now() + 1 + number for number in range(WHOLE_MINUTES)]
        await asleep_until(minutes[-1])
        if kills:
            while callers.answered.whole[minutes[-1]] < MINUTE // 2:
                await asyncio.sleep(0.01)
            fleet.replicas[0].kill()
        await asleep_until(minutes[-1] + 1)
    return callers.answered, minutes


def require_within(answered: Answered, minutes: list[int], what: str) -> None:
    used = [answered.whole[minute] for minute in minutes]
    print(f"\n{what}: {used} of {MINUTE} a minute, lost {dict(answered.lost)}, over an edge {answered.over_an_edge}")
    print(f"refused {dict(answered.refused)}")

    assert max(answered.whole.values()) <= MINUTE
    assert set(answered.refused) == {"RATE_LIMITED_MINUTE"}


@pytest.mark.prove
@pytest.mark.timeout(420)
async def test_three_replicas_on_postgres_use_each_minute_up_and_no_more(tmp_path: Path) -> None:
    with postgres_server(durable=True) as postgres:
        extra = f"limits = {{ requests_per_minute = {MINUTE} }}"
        fleet = Fleet(tmp_path, postgres.url("postgres"), 3, {"demo": "1000"}, extra)
        answered, minutes = await minutes_of(fleet, kills=True)
    require_within(answered, minutes, "3 on PostgreSQL, one killed in the last minute")
    last = minutes[-1]

    assert min(answered.whole[minute] for minute in minutes[:-1]) >= 0.98 * MINUTE
    assert answered.whole[last] + answered.lost[last] >= MINUTE - CHUNK
    assert sum(answered.lost.values()) - answered.lost[last] == 0


@pytest.mark.prove
@pytest.mark.timeout(420)
async def test_one_process_on_sqlite_uses_each_minute_up_and_no_more(tmp_path: Path) -> None:
    extra = f"limits = {{ requests_per_minute = {MINUTE} }}"
    answered, minutes = await minutes_of(Fleet(tmp_path, "sqlite:cohort.db", 1, {"demo": "1000"}, extra), kills=False)
    require_within(answered, minutes, "1 on SQLite")

    assert min(answered.whole[minute] for minute in minutes) >= 0.98 * MINUTE
    assert not answered.lost

"""The whole service against a sandbox that enforces Cohere's limits, and against clocks: nobody simulates time here."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import grpc.aio
import pytest

import service.pacing.opening
from clients.pacing.pacer import Pacer
from clients.sandbox.limits import Enforced, Minutes, RateLimits
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import embed
from tests.e2e.test_limits import scraped

EMBED_INPUTS = 2000
"""What Cohere allows in a minute."""
TEXTS = 4
CONNECTIONS = 7
FASTER = 20

Embedding: TypeAlias = Callable[[EmbedRequest], Awaitable[EmbedResponse]]


@pytest.fixture(params=[1, 3])
def replicas_and_database(request: pytest.FixtureRequest) -> tuple[int, str]:
    """How many replicas, and where they keep their books."""
    count: int = request.param
    return count, "sqlite:cohort.db" if count == 1 else request.getfixturevalue("postgres_url")


def let_a_minute_take(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Of the pacers that are made from now on."""
    monkeypatch.setattr(service.pacing.opening, "Pacer", functools.partial(Pacer, minute_us=int(seconds * 1e6)))


@contextlib.asynccontextmanager
async def replicas(folder: Path, database: str, count: int, minute_s: float) -> AsyncIterator[list[Cohort]]:
    """Services on one database, in front of a sandbox that enforces each sliding minute."""
    async with contextlib.AsyncExitStack() as stack:
        services: list[Cohort] = []
        for number in range(count):
            place = folder / str(number)
            place.mkdir()
            url = services[0].sandbox_url if services else None
            one = cohort(place, database=database, base_url=url, pacing='key_kind = "production"')
            services.append(await stack.enter_async_context(one))
        state = services[0].sandbox.state
        state.limits = RateLimits(state.clock, minute_s)
        state.limits.enforce(Enforced.ALL, Minutes.SLIDING)
        yield services


@contextlib.asynccontextmanager
async def connections(services: list[Cohort]) -> AsyncIterator[Sequence[Embedding]]:
    """So many of them that all calls of a burst are under way at once: each holds `STREAMS_PER_CONNECTION_MAX`."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for number in range(CONNECTIONS):
            one = services[number % len(services)]
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(one.target, options=options))
            opened.append(functools.partial(GatewayServiceStub(channel).Embed, metadata=one.credentials, timeout=600))
        yield opened


async def burst(opened: Sequence[Embedding], minute_s: float, inputs: int) -> float:
    """Inputs 20 times as fast as a minute allows; returns how long it took until all were answered."""
    began_s = time.monotonic()
    request = embed(*(f"text {number}" for number in range(TEXTS)))
    calls = []
    for number in range(inputs // TEXTS):
        await asyncio.sleep(began_s + number * TEXTS * minute_s / EMBED_INPUTS / FASTER - time.monotonic())
        calls.append(asyncio.ensure_future(opened[number % len(opened)](request)))
    await asyncio.gather(*calls)
    return time.monotonic() - began_s


async def require_no_429(services: list[Cohort], minute_s: float, bursts: Sequence[int]) -> None:
    async with connections(services) as opened:
        took_s = [await burst(opened, minute_s, inputs) for inputs in bursts]
    refused = [line for one in services for line in (await scraped(one)).splitlines() if 'status="429"' in line]
    used = sum(bursts) / (sum(took_s) * EMBED_INPUTS / minute_s)
    print(
        f"{len(services)} replicas, bursts of {bursts} inputs at {FASTER} x the rate, one after the other: "
        f"{len(refused)} of Cohere's 429s, {used:.0%} of the rate used"
    )

    assert not refused
    assert 0.75 < used < 1


@pytest.mark.prove
@pytest.mark.prove_short
async def test_a_burst_of_embeds_is_paced_without_a_429(
    tmp_path: Path, replicas_and_database: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    count, database = replicas_and_database
    minute_s = 10.0
    let_a_minute_take(monkeypatch, minute_s)
    # Cohere's is shorter, as a busy machine stands still for longer than a thirtieth of it, which the way may take.
    async with replicas(tmp_path, database, count, 0.85 * minute_s) as services:
        await require_no_429(services, minute_s, [2600])


@pytest.mark.prove
async def test_bursts_of_embeds_are_paced_without_a_429_in_minutes_of_60_s(
    tmp_path: Path, replicas_and_database: tuple[int, str]
) -> None:
    count, database = replicas_and_database
    async with replicas(tmp_path, database, count, 60.0) as services:
        await require_no_429(services, 60.0, [2000, 2000, 2000])

"""A noisy team beside a quiet one on the same Cohere key: the whole service, in real time and minutes of 60 s."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import grpc.aio
import pytest

from clients.sandbox import Fault, Sandbox
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.e2e.cohort_service import cohort, team_lines
from tests.e2e.requests import chat, refusal_of
from tests.key_tables import access_key_lines
from tests.pacing.test_fairness import PER_S, p99

LATENCY_MS = 600
ROUND_S = 60.0
PATIENCE_S = 10.0

pytestmark = pytest.mark.prove


class Team:
    """Calls of one team, on a connection of its own, and how each ended."""

    def __init__(self, access_key: str, channel: grpc.aio.Channel) -> None:
        self._stub = GatewayServiceStub(channel)
        self._credentials = (("x-api-key", access_key),)
        self.took_s: list[float] = []
        self.ended: Counter[str] = Counter()

    async def call(self) -> None:
        began_s = time.monotonic()
        try:
            await self._stub.Chat(chat(), metadata=self._credentials, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            self.ended[refusal_of(error).reason] += 1
        else:
            self.ended["OK"] += 1
            self.took_s.append(time.monotonic() - began_s)

    async def calls(self, per_s: float, random: Random) -> None:
        """At random moments for a round."""
        until_s = time.monotonic() + ROUND_S
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until_s:
                await asyncio.sleep(random.expovariate(per_s))
                group.create_task(self.call())


@contextlib.asynccontextmanager
async def two_teams(folder: Path) -> AsyncIterator[tuple[Team, Team]]:
    """On one Cohere key, whose limit is Cohere's."""
    sandbox = Sandbox()
    noisy_key, key_lines = access_key_lines("noisy", "tests", ["chat"])
    (folder / "noisy.key").write_text("sandbox-production")
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(sandbox.serve())
        sandbox.state.faults.add([Fault(latency_ms=LATENCY_MS, times=None)])
        more = team_lines("noisy", url) + key_lines
        made = cohort(folder, base_url=url, pacing='key_kind = "production"', more=more)
        service = await stack.enter_async_context(made)
        teams = []
        for access_key in (service.access_key, noisy_key):
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(service.target, options=options))
            teams.append(Team(access_key, channel))
        quiet, noisy = teams
        yield quiet, noisy


async def test_a_quiet_team_hardly_feels_one_at_ten_times_its_share(tmp_path: Path) -> None:
    async with two_teams(tmp_path) as (quiet, noisy):
        await quiet.calls(PER_S / 4, Random(1))
        alone_s = p99(quiet.took_s)
        quiet.took_s.clear()
        await asyncio.gather(quiet.calls(PER_S / 4, Random(1)), noisy.calls(10 * PER_S / 2, Random(2)))
        beside_s = p99(quiet.took_s)
    print(f"p99 alone {alone_s:.3f} s, beside a noisy team {beside_s:.3f} s; {noisy.ended}")

    assert beside_s < 2 * alone_s
    assert set(quiet.ended) == {"OK"}
    assert set(noisy.ended) == {"OK", "UPSTREAM_BUSY"}


async def test_teams_that_want_ten_times_their_share_get_equal_shares(tmp_path: Path) -> None:
    async with two_teams(tmp_path) as (one, other):
        await asyncio.gather(one.calls(5 * PER_S, Random(1)), other.calls(10 * PER_S, Random(2)))
    print(f"{one.ended} and {other.ended}")

    assert one.ended["OK"] == pytest.approx(other.ended["OK"], rel=0.05)
    assert one.ended["OK"] + other.ended["OK"] > 0.95 * PER_S * ROUND_S

"""Callers who call at a steady rate, whatever happens, and keep how each call ended."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import grpc.aio

from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.e2e.requests import chat, refusal_of

TIMEOUT_S = 10.0


@dataclass
class Steady:
    """A load.

    Attributes:
        ended: How many calls ended how: OK, or a code and a reason.
        late: How many calls took longer than a second.
    """

    ended: Counter[str] = field(default_factory=Counter)
    late: int = 0
    _calls: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def failed(self) -> dict[str, int]:
        """Those that did not end well."""
        return {how: count for how, count in self.ended.items() if how != "OK"}

    async def run(self, channels: Sequence[grpc.aio.Channel], access_key: str, per_second: float) -> None:
        """Calls until cancelled, one channel after the other."""
        loop, begun_s, number = asyncio.get_running_loop(), asyncio.get_running_loop().time(), 0
        while True:
            number += 1
            await asyncio.sleep(begun_s + number / per_second - loop.time())
            call = asyncio.create_task(self._call(channels[number % len(channels)], access_key))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def over(self) -> None:
        """Waits for the calls that are under way."""
        await asyncio.gather(*self._calls)

    async def _call(self, channel: grpc.aio.Channel, access_key: str) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            await GatewayServiceStub(channel).Chat(
                chat(max_tokens=8), metadata=(("x-api-key", access_key),), timeout=TIMEOUT_S
            )
            self.ended["OK"] += 1
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            self.ended[f"{error.code().name} {refusal.reason if refusal.details else error.details()}"] += 1
        self.late += loop.time() - begun_s > 1.0


@contextlib.asynccontextmanager
async def steady(channels: Sequence[grpc.aio.Channel], access_key: str, per_second: float) -> AsyncIterator[Steady]:
    """Calls while inside the context, and has all ended after it."""
    load = Steady()
    running = asyncio.create_task(load.run(channels, access_key, per_second))
    try:
        yield load
    finally:
        running.cancel()
        await load.over()

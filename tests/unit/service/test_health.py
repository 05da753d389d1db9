"""What the service says of its health follows the books, until it stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.health import Health

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = ("", "cohort.v1.AdminService", "cohort.v1.GatewayService")


class Watched:
    """A health service behind a channel."""

    def __init__(self, health: Health, stub: Any) -> None:
        self.health = health
        self._stub = stub

    async def says(self) -> set[int]:
        """What it says for each name."""
        asked = [health_pb2.HealthCheckRequest(service=name) for name in NAMES]
        return {(await self._stub.Check(request)).status for request in asked}

    async def comes_to(self, status: int) -> None:
        while await self.says() != {status}:
            await asyncio.sleep(0)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    health = Health(NAMES[1:])
    server = grpc.aio.server()
    await health.open(server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    following = asyncio.create_task(health.follow_books())
    async with grpc.aio.insecure_channel(target) as channel:
        yield Watched(health, health_pb2_grpc.HealthStub(channel))
    following.cancel()
    await server.stop(None)


async def test_it_serves_from_the_start(watched: Watched) -> None:
    assert await watched.says() == {SERVING}


async def test_it_does_not_serve_while_the_books_cannot_be_written(watched: Watched) -> None:
    watched.health.books_told(False)
    await watched.comes_to(NOT_SERVING)
    watched.health.books_told(True)
    await watched.comes_to(SERVING)


async def test_what_changes_twice_at_once_ends_as_it_is(watched: Watched) -> None:
    watched.health.books_told(False)
    watched.health.books_told(True)
    watched.health.books_told(False)

    await watched.comes_to(NOT_SERVING)


async def test_once_it_stops_it_serves_no_more_whatever_the_books_say(watched: Watched) -> None:
    await watched.health.stop()
    assert await watched.says() == {NOT_SERVING}
    watched.health.books_told(False)
    watched.health.books_told(True)
    for _ in range(20):
        await asyncio.sleep(0)

    assert await watched.says() == {NOT_SERVING}

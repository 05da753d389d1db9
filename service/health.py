"""What the service says of its health: it takes calls while its books can be written, and not once it stops."""

import asyncio
from collections.abc import Iterable

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The health service, for "" and each of our services alike; it never tells of single teams.

    Args:
        services: Their full names.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._names = ("", *sorted(services))
        self._books_available = True
        self._changed = asyncio.Event()

    async def open(self, server: grpc.aio.Server) -> None:
        """Registers the health service."""
        health_pb2_grpc.add_HealthServicer_to_server(self.servicer, server)
        await self._tell()

    def books_told(self, available: bool) -> None:  # noqa: FBT001 (a callback of one value)
        """The books can be written, or can no longer."""
        self._books_available = available
        self._changed.set()

    async def follow_books(self) -> None:
        """Tells each change of the books, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._tell()

    async def stop(self) -> None:
        """Says for good that no more calls are taken."""
        await self.servicer.enter_graceful_shutdown()

    async def _tell(self) -> None:
        for name in self._names:
            await self.servicer.set(name, _SERVING if self._books_available else _NOT_SERVING)

"""The wire between Cohort and PostgreSQL, which breaks at COMMIT when it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"


class Cut(Enum):
    """When the wire breaks."""

    NEVER = "never"
    BEFORE_COMMIT = "the server does not get COMMIT"
    AFTER_COMMIT = "the client does not get its answer"
    SILENT_AFTER_COMMIT = "the client gets neither an answer nor an end"


class Wire:
    """Forwards between the socket in *folder* and the one in *server*.

    Attributes:
        cut: When to break, once: it is `Cut.NEVER` afterwards.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.cut = Cut.NEVER
        self._folder, self._server = folder, server
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        listening = await asyncio.start_unix_server(self._connected, self._folder / _SOCKET)
        try:
            yield self
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_unix_connection(self._server / _SOCKET)
        back = asyncio.create_task(_forward(server, to_client))
        try:
            while data := await client.read(1 << 16):
                if self.cut is not Cut.NEVER and b"COMMIT" in data:
                    await self._break(data, to_server, back, server)
                    return
                to_server.write(data)
        finally:
            back.cancel()
            for writer in (to_server, to_client):
                writer.close()

    async def _break(
        self, data: bytes, to_server: asyncio.StreamWriter, back: "asyncio.Task[None]", server: asyncio.StreamReader
    ) -> None:
        cut, self.cut = self.cut, Cut.NEVER
        if cut is Cut.BEFORE_COMMIT:
            return
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)
        to_server.write(data)
        assert await server.read(1 << 16)
        if cut is Cut.SILENT_AFTER_COMMIT:
            await asyncio.Event().wait()


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            target.write(data)
        target.close()

"""A connection whose every byte a test decides."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

from tests.hardening import frames
from tests.hardening.frames import ACK, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, Frames, frame


class RawConnection:
    """Sends what it is told to, and counts what comes; it may answer SETTINGS and PING as the protocol demands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        self._answers = answers
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Condition()
        self.resets: Counter[int] = Counter()
        """RST_STREAM frames received, by error code."""
        self.answered: set[int] = set()
        """Streams on which HEADERS came."""
        self.goaway: int | None = None
        """The error code of the GOAWAY received, if one came."""
        self.pongs = 0
        self.closed = False

    async def send(self, data: bytes) -> None:
        """Sends bytes; those that cannot be sent any more are dropped, and `closed` tells."""
        if self._writer.is_closing():
            return
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until *holds* is true."""
        async with self._news:
            await self._news.wait_for(holds)

    async def until_closed(self) -> None:
        """Waits until the other side has closed."""
        await self.until(lambda: self.closed)

    async def read(self) -> None:
        """Reads until the other side closes."""
        received = Frames()
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(65_536):
                for kind, flags, stream, payload in received.take(data):
                    await self._received(kind, flags, stream, payload)
        async with self._news:
            self.closed = True
            self._news.notify_all()

    async def _received(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._answers and kind in {SETTINGS, PING} and not flags & ACK:
            await self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        async with self._news:
            if kind == RST_STREAM:
                self.resets[int.from_bytes(payload)] += 1
            elif kind == PING:
                self.pongs += 1
            elif kind == HEADERS:
                self.answered.add(stream)
            elif kind == GOAWAY:
                self.goaway = int.from_bytes(payload[4:8])
            self._news.notify_all()


@contextlib.asynccontextmanager
async def raw_connection(port: int, *, greeted: bool = True) -> AsyncIterator[RawConnection]:
    """Connects; *greeted* also sends the preface and empty SETTINGS, and answers those of the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = RawConnection(reader, writer, answers=greeted)
    reading = asyncio.create_task(connection.read())
    try:
        if greeted:
            await connection.send(PREFACE + frame(frames.SETTINGS, 0, 0))
        yield connection
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

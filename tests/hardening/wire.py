"""A caller that keeps to HTTP/2 and to nothing else: sends any headers, any body, or none, and sees the windows."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

Header = tuple[str, str]
CONTENT: tuple[Header, ...] = (("content-type", "application/grpc"), ("te", "trailers"))
CHUNK_BYTES_MAX = 16_384


@dataclass
class Answer:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    """Headers and trailers."""
    data: bytearray = field(default_factory=bytearray)
    window_bytes: int = 0
    """How much more body than at first the server said it would take."""
    ended: bool = False
    reset: int | None = None
    """The error code of the RST_STREAM, if one came."""

    @property
    def code(self) -> int | None:
        """The gRPC status code, if it came."""
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None


def message(content: bytes, *, compressed: int = 0, size: int | None = None) -> bytes:
    """One gRPC message with its five bytes of head; *size* lets it lie."""
    return struct.pack(">BI", compressed, len(content) if size is None else size) + content


class Wire:
    """One HTTP/2 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h2.connection.H2Connection(
            h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self._news = asyncio.Condition()
        self._answers: dict[int, Answer] = {}
        self._reads_bodies = True
        self._greeted = False
        self.goaway: int | None = None
        self.closed = False

    async def greet(self, *, window_bytes: int | None = None) -> None:
        """Begins the connection. With *window_bytes* each answer may have that much body and will get no more."""
        if window_bytes is not None:
            self._reads_bodies = False
            self._http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window_bytes})
        self._http.initiate_connection()
        await self._flush()
        # Some bounds hold once the server's SETTINGS are acknowledged, as any client does at once.
        await self._until(lambda: self._greeted)

    async def begin(
        self, rpc: str, *metadata: Header, content: Sequence[Header] = CONTENT, method: str = "POST", ends: bool = False
    ) -> int:
        """Sends the headers of a call; gives its stream."""
        stream = self._http.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":path", rpc), (":authority", "cohort")]
        self._answers[stream] = Answer()
        self._http.send_headers(stream, [*pseudo, *content, *metadata], end_stream=ends)
        await self._flush()
        return stream

    def window_bytes(self, stream: int) -> int:
        """How much body may be sent now."""
        return self._http.local_flow_control_window(stream)

    def is_over(self, stream: int) -> bool:
        """True if the answer has ended."""
        return self._answers[stream].ended

    async def send(self, stream: int, body: bytes, *, ends: bool = False) -> int:
        """Sends as much of a body as the server takes before it ends the stream; gives how much that was."""
        sent = 0
        while sent < len(body):
            await self._until(lambda: self.is_over(stream) or self.window_bytes(stream) > 0)
            if self.is_over(stream):
                break
            room = min(self.window_bytes(stream), self._http.max_outbound_frame_size)
            chunk = body[sent : sent + room]
            sent += len(chunk)
            self._http.send_data(stream, chunk, end_stream=ends and sent == len(body))
            await self._flush()
        return sent

    async def end(self, stream: int) -> None:
        """Says that no more will be sent."""
        self._http.end_stream(stream)
        await self._flush()

    async def reset(self, stream: int) -> None:
        """Leaves a call."""
        self._http.reset_stream(stream, 8)
        await self._flush()

    async def answer(self, stream: int) -> Answer:
        """Waits for the end of an answer."""
        answer = self._answers[stream]
        await self._until(lambda: answer.ended)
        return answer

    async def begun(self, stream: int) -> Answer:
        """Waits for the first headers of an answer."""
        answer = self._answers[stream]
        await self._until(lambda: bool(answer.headers) or answer.ended)
        return answer

    async def call(self, rpc: str, body: bytes, *metadata: Header) -> Answer:
        """A call as any client makes it."""
        stream = await self.begin(rpc, *metadata)
        await self.send(stream, body, ends=True)
        return await self.answer(stream)

    async def read(self) -> None:
        """Reads until the other side closes."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(65_536):
                async with self._news:
                    for event in self._http.receive_data(data):
                        self._received(event)
                    await self._flush()
                    self._news.notify_all()
        async with self._news:
            self.closed = True
            for answer in self._answers.values():
                answer.ended = True
            self._news.notify_all()

    def _received(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                headers = {name.decode(): value.decode() for name, value in event.headers}
                self._answers[event.stream_id].headers.update(headers)
            case h2.events.DataReceived():
                self._answers[event.stream_id].data += event.data
                if self._reads_bodies:
                    self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._answers[event.stream_id].ended = True
            case h2.events.StreamReset():
                self._answers[event.stream_id].ended = True
                self._answers[event.stream_id].reset = int(event.error_code or 0)
            case h2.events.WindowUpdated() if event.stream_id:
                self._answers[event.stream_id].window_bytes += event.delta
            case h2.events.RemoteSettingsChanged():
                self._greeted = True
            case h2.events.ConnectionTerminated():
                self.goaway = int(event.error_code or 0)
            case _:
                pass

    async def _flush(self) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(self._http.data_to_send())
            await self._writer.drain()

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with self._news:
            await self._news.wait_for(holds)


@contextlib.asynccontextmanager
async def wire(port: int, *, window_bytes: int | None = None) -> AsyncIterator[Wire]:
    """Connects and greets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = Wire(reader, writer)
    reading = asyncio.create_task(connection.read())
    try:
        await connection.greet(window_bytes=window_bytes)
        yield connection
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

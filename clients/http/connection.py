"""One connection: a request out, its answer in, with bounds on size and silence.

The reader says what it waits for — the head, the next chunk, or the end — and is woken for that alone, so a unary
answer costs one wake-up however many packets it comes in. A reader of chunks that is slow stops the peer.
"""

import asyncio
import enum
import zlib
from typing import cast

import httptools

from clients.http.faults import Disconnected, HttpFault, NotHttp, Silent, TooLarge

HEAD_BYTES_MAX = 64 * 1024
BUFFERED_BYTES_MAX = 256 * 1024
WRITE_BYTES = 256 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class _For(enum.Enum):
    """What the reader waits for."""

    HEAD = enum.auto()
    CHUNK = enum.auto()
    END = enum.auto()


class Connection(asyncio.Protocol):
    """An open connection that makes one exchange after the other.

    Args:
        answer_bytes_max: Size of one body, after decompression.
        silence_timeout_s: How long the peer may send nothing while an answer is awaited.

    Attributes:
        status: HTTP status of the answer, once its head is there.
        headers: Its headers, names in lower case; of repeated ones the last.
        idle_since_s: When the last exchange ended, on the loop's clock.
    """

    def __init__(self, answer_bytes_max: int, silence_timeout_s: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.idle_since_s = 0.0
        self._answer_bytes_max = answer_bytes_max
        self._silence_timeout_s = silence_timeout_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._inflate: zlib._Decompress | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._waits_for = _For.HEAD
        self._writable: asyncio.Future[None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._heard_s = 0.0
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._total = 0
        self._head_bytes = 0
        self._has_head = self._ended = self._paused = self._keep_alive = self._sent = False
        self._fault: HttpFault | None = None

    # The exchange

    @property
    def reusable(self) -> bool:
        """Tells whether another exchange may follow."""
        return self._keep_alive and self._sent and not self._closed

    async def send(self, head: bytes, body: bytes) -> None:
        """Writes a request. The answer is read afterwards.

        Raises:
            Disconnected: The connection broke meanwhile.
        """
        transport = self._transport
        if transport is None or self._closed:
            raise Disconnected
        self._resume()
        self._start()
        self._parser = httptools.HttpResponseParser(self)
        self._heard_s = self._loop.time()
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._silence_timeout_s, self._check_silence)
        if len(body) <= WRITE_BYTES:
            self._sent = True
            transport.write(head + body)
            return
        # In pieces, each when the one before has left the buffer: a single write of megabytes blocks the loop.
        transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), WRITE_BYTES):
            transport.write(view[start : start + WRITE_BYTES])
            await asyncio.sleep(0)
            if self._writable is not None:
                await self._writable
            if self._ended:
                return  # answered early, e.g. too large: the rest is not wanted, and the connection not used again
            if self._closed:
                raise self._fault or Disconnected
        self._sent = True

    async def head(self) -> None:
        """Waits for status and headers.

        Raises:
            HttpFault: There is no answer.
        """
        if not self._has_head and self._fault is None:
            await self._wait(_For.HEAD)
        if not self._has_head:
            raise self._fault or Disconnected

    async def body(self) -> bytes:
        """Waits for the whole body.

        Raises:
            HttpFault: It is not complete.
        """
        if not self._ended and self._fault is None:
            self._resume()
            await self._wait(_For.END)
        if self._fault is not None:
            raise self._fault
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def chunk(self) -> bytes:
        """Waits for more of the body; b"" at its end.

        Raises:
            HttpFault: It ends incomplete.
        """
        if not self._chunks and not self._ended and self._fault is None:
            self._resume()
            await self._wait(_For.CHUNK)
        if self._chunks:
            chunks, self._chunks, self._buffered = self._chunks, [], 0
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self._fault is not None:
            raise self._fault
        return b""

    def close(self) -> None:
        """Closes the connection at once, whatever is under way."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, what: _For) -> None:
        self._waits_for = what
        self._heard_s = self._loop.time()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, fault: HttpFault) -> None:
        if self._fault is None and not self._ended:
            self._fault = fault
        self._wake()
        self.close()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _check_silence(self) -> None:
        # One timer for the connection's life, looked at lazily: no timer is made and cancelled per exchange.
        self._watchdog = None
        if self._closed:
            return
        waiting = self._waiter is not None or self._writable is not None
        left_s = self._heard_s + self._silence_timeout_s - self._loop.time()
        if waiting and left_s <= 0:
            self._fail(Silent())
            return
        delay_s = left_s if waiting else self._silence_timeout_s
        self._watchdog = self._loop.call_later(delay_s, self._check_silence)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, no check: uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._ended:
            self.close()  # bytes that nobody asked for: the peer's framing cannot be trusted any more
            return
        self._heard_s = self._loop.time()
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp())
        else:
            if not self._has_head and self._head_bytes > HEAD_BYTES_MAX:
                self._fail(TooLarge())

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if exc is None and self._has_head and self._ends_with_connection():
            self._ended = True
            self._wake()
        else:
            self._fail(Disconnected())

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self._heard_s = self._loop.time()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._heard_s = self._loop.time()

    def _ends_with_connection(self) -> bool:
        # RFC 9112 section 6.3: without either, the body ends where the connection does.
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self._ended:  # a second answer to one request: this peer's framing cannot be trusted
            self._keep_alive = False
            return
        self.headers = {}
        self._inflate = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:  # trailers, or a second answer
            return
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        if self._parser is not None:
            self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        if "content-encoding" in self.headers and self.headers["content-encoding"].lower() != "identity":
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_head = True
        if self._waits_for is _For.HEAD:
            self._wake()

    def on_body(self, data: bytes) -> None:
        if self._ended:
            return
        if self._inflate is not None:
            data = self._inflate.decompress(data, self._answer_bytes_max - self._total + 1)
        self._total += len(data)
        if self._total > self._answer_bytes_max:
            self._fail(TooLarge())  # not raised: httptools would hide it in an error of its own
        if not data or self._fault is not None:
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._waits_for is _For.CHUNK:
            self._wake()
        if self._waits_for is not _For.END and self._buffered > BUFFERED_BYTES_MAX and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._has_head or self._ended:
            return
        if self._inflate is not None and not self._inflate.eof:
            self._fail(NotHttp())
        self._ended = self._fault is None
        # Asked now: the parser forgets when the message is over.
        self._keep_alive = self._ended and self._parser is not None and self._parser.should_keep_alive()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self.idle_since_s = self._loop.time()
        self._wake()

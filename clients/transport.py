"""One HTTP request to Cohere → one answer, or an UpstreamError. Never retries.

One session for the process; the team's key and base URL come with each request. A connection is taken from
a bounded pool; a full pool is our own saturation and refuses instead of queueing for ever. Redirects are not
followed: a key must not travel to another host.
"""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Self

import aiohttp
from yarl import URL

from clients.cohere_key import CohereKey
from clients.errors import Billing, MalformedAnswer, UpstreamError
from clients.sse import DONE, EventParser, EventTooLarge
from clients.status import failure_of
from cohort.v1 import error_reason_pb2 as reasons

ERROR_BODY_BYTES_MAX = 64 * 1024
TAIL_TIMEOUT_S = 1.0
ONE_PIECE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of the traffic with Cohere; every one has a number."""

    connections_max: int = 512
    """Requests to Cohere under way at once in this process."""
    pool_wait_s: float = 1.0
    """How long a request waits for a free connection before it is refused."""
    connect_timeout_s: float = 10.0
    silence_timeout_s: float = 300.0
    """How long Cohere may send nothing at all before an attempt is given up."""
    answer_bytes_max: int = 64 * 1024 * 1024
    """Size of one answer or one whole stream, after decompression."""
    event_bytes_max: int = 4 * 1024 * 1024


class Answer(NamedTuple):
    """A 200 of Cohere's."""

    body: bytes
    debug_trace_id: str
    warning: str
    """Cohere's `x-api-warning`, e.g. of a deprecated model."""


class EventStream(NamedTuple):
    """A 200 whose body is an event stream."""

    payloads: AsyncGenerator[bytes, None]
    """The `data` of each event as it arrives, up to `[DONE]` or the end of the body. Whether the message was
    complete is for the reader to judge."""
    debug_trace_id: str
    warning: str

    async def finish(self) -> None:
        """Reads what follows the last event that matters, briefly: a body read to its end keeps its connection."""
        with contextlib.suppress(TimeoutError, UpstreamError):
            async with asyncio.timeout(TAIL_TIMEOUT_S):
                async for _ in self.payloads:
                    pass


class Transport:
    """The process's HTTP session with Cohere. Open it with `async with`."""

    def __init__(self, limits: TransportLimits | None = None) -> None:
        self._limits = limits or TransportLimits()
        self._free = asyncio.Semaphore(self._limits.connections_max)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        limits = self._limits
        self._session = aiohttp.ClientSession(
            # The bound is our semaphore. Idle connections go before Cohere's side would drop them:
            # a request written into a dying connection has an unknown bill.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15, ssl=ssl.create_default_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                "X-Client-Name": "cohort",
            },
            skip_auto_headers=("User-Agent", "Accept"),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=limits.connect_timeout_s, sock_read=limits.silence_timeout_s
            ),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: URL, key: CohereKey, body: bytes) -> Answer:
        """Sends one request and reads its whole answer.

        Raises:
            UpstreamError: Anything but a 200 with a complete body.
        """
        async with self._exchange(url, key, body) as response:
            headers = response.headers
            with _faults_translated():
                answer = await self._whole_body(response)
            return Answer(answer, headers.get("x-debug-trace-id", ""), headers.get("x-api-warning", ""))

    @contextlib.asynccontextmanager
    async def stream(self, url: URL, key: CohereKey, body: bytes) -> AsyncIterator[EventStream]:
        """Sends one request and yields its event stream.

        Leaving the context ends the exchange: after `[DONE]` the connection is kept, else it is closed.

        Raises:
            UpstreamError: Anything but a 200 event stream; also while iterating over the payloads.
        """
        async with self._exchange(url, key, body) as response:
            if response.content_type != "text/event-stream":
                raise _malformed("Cohere answered a stream request with another content type")
            headers = response.headers
            async with contextlib.aclosing(self._payloads(response)) as payloads:
                yield EventStream(payloads, headers.get("x-debug-trace-id", ""), headers.get("x-api-warning", ""))

    @contextlib.asynccontextmanager
    async def _exchange(self, url: URL, key: CohereKey, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the transport is not open")
        await self._take_connection()
        try:
            with _faults_translated():
                response = await self._session.post(
                    url, data=_sendable(body), headers={"Authorization": key.authorization()}, allow_redirects=False
                )
            try:
                if response.status != HTTPStatus.OK:
                    raise await self._failure(response, key)
                yield response
            finally:
                response.release()
        finally:
            self._free.release()

    async def _take_connection(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._limits.pool_wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise UpstreamError(
                reasons.ERROR_REASON_UPSTREAM_POOL_FULL,
                f"All {self._limits.connections_max} connections to Cohere are in use",
                billing=Billing.NONE,
                retry_after_s=1.0,
            ) from None

    async def _failure(self, response: aiohttp.ClientResponse, key: CohereKey) -> UpstreamError:
        try:
            body = await response.content.readexactly(ERROR_BODY_BYTES_MAX)
        except asyncio.IncompleteReadError as short:
            body = short.partial
        except (aiohttp.ClientError, TimeoutError):
            body = b""
        error = failure_of(response.status, response.headers, body)
        error.message = key.redacted_from(error.message)
        return error

    async def _whole_body(self, response: aiohttp.ClientResponse) -> bytes:
        bytes_max = self._limits.answer_bytes_max
        length = response.content_length
        if length is not None and length > bytes_max:
            raise _too_large(bytes_max)
        if length is not None and "content-encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > bytes_max:
                raise _too_large(bytes_max)
            chunks.append(chunk)
        return b"".join(chunks)

    async def _payloads(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        parser = EventParser(self._limits.event_bytes_max)
        size = 0
        with _faults_translated():
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > self._limits.answer_bytes_max:
                    raise _too_large(self._limits.answer_bytes_max)
                try:
                    payloads = parser.feed(chunk)
                except EventTooLarge:
                    raise _too_large(self._limits.event_bytes_max) from None
                for payload in payloads:
                    if payload == DONE:
                        await _read_tail(response)
                        return
                    yield payload


def _sendable(body: bytes) -> bytes | io.BytesIO:
    # aiohttp writes bytes in one piece, which blocks the loop for large ones; a file it reads in a thread, by chunks.
    return body if len(body) <= ONE_PIECE_BYTES_MAX else io.BytesIO(body)


async def _read_tail(response: aiohttp.ClientResponse) -> None:
    # The end of the chunked body may come a packet after [DONE]; a response read to its end keeps its connection.
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(TAIL_TIMEOUT_S):
            await response.content.readany()


@contextlib.contextmanager
def _faults_translated() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientError as error:
        raise _network_failure(error) from None
    except TimeoutError as error:
        raise _timeout_failure(error) from None


def malformed(answer: MalformedAnswer) -> UpstreamError:
    """A 200 whose body is not what Cohere documents: it worked, so the bill is unknown."""
    return _malformed(f"Cohere's answer is malformed: {answer}")


def cut_off() -> UpstreamError:
    """A stream that ended cleanly without its last event."""
    return UpstreamError(
        reasons.ERROR_REASON_COHERE_CONNECTION_LOST,
        "Cohere's stream ended before the message did",
        billing=Billing.UNKNOWN,
        status=200,
    )


def _malformed(message: str) -> UpstreamError:
    return UpstreamError(reasons.ERROR_REASON_COHERE_MALFORMED_ANSWER, message, billing=Billing.UNKNOWN, status=200)


def _too_large(bytes_max: int) -> UpstreamError:
    return UpstreamError(
        reasons.ERROR_REASON_COHERE_ANSWER_TOO_LARGE,
        f"Cohere's answer exceeds {bytes_max} bytes",
        billing=Billing.UNKNOWN,
        status=200,
    )


def _network_failure(error: aiohttp.ClientError) -> UpstreamError:
    # The order matters: a connector error is raised before the first byte is written, so nothing was sent.
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return UpstreamError(
            reasons.ERROR_REASON_COHERE_UNAVAILABLE, "Cohere could not be reached", billing=Billing.NONE
        )
    if isinstance(error, aiohttp.ServerTimeoutError):
        return _timeout_failure(error)
    if isinstance(error, aiohttp.ClientResponseError):  # bytes that are not HTTP
        return _malformed("Cohere's answer is not HTTP")
    return UpstreamError(
        reasons.ERROR_REASON_COHERE_CONNECTION_LOST,
        "The connection to Cohere broke before its answer was complete",
        billing=Billing.UNKNOWN,
    )


def _timeout_failure(error: BaseException) -> UpstreamError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamError(
            reasons.ERROR_REASON_COHERE_UNAVAILABLE,
            "Cohere could not be reached in time",
            billing=Billing.NONE,
        )
    return UpstreamError(reasons.ERROR_REASON_COHERE_TIMED_OUT, "Cohere went silent", billing=Billing.UNKNOWN)

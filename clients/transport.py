"""One HTTP request to Cohere → one answer, or an UpstreamError. Never retries, never follows a redirect.

One pool of connections for the process; the team's key and base URL come with each request. How many requests are
under way at once is bounded; a full pool is our own saturation, and refuses instead of queueing for ever.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Self

from yarl import URL

from clients.cohere_key import CohereKey
from clients.errors import Billing, MalformedAnswer, UpstreamError
from clients.http.connection import Connection
from clients.http.faults import ConnectFailed, HttpFault, NotHttp, Silent, TooLarge
from clients.http.pool import Origin, Pool
from clients.slot import Slot
from clients.sse import DONE, EventParser, EventTooLarge
from clients.status import failure_of
from cohort.v1 import error_reason_pb2 as reasons

IDLE_S = 15.0
TAIL_TIMEOUT_S = 1.0
ERROR_BODY_BYTES_MAX = 64 * 1024
_ROUTES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of the traffic with Cohere; every one has a number."""

    connections_max: int = 512
    """Requests to Cohere under way at once in this process."""
    pool_wait_s: float = 1.0
    """How long a request waits for its turn before it is refused."""
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


class _Route(NamedTuple):
    origin: Origin
    head: bytes
    """The request's head up to the headers that differ from request to request."""


class Transport:
    """The process's traffic with Cohere. Open it with `async with`."""

    def __init__(self, limits: TransportLimits | None = None) -> None:
        self._limits = limits or TransportLimits()
        self._free = asyncio.Semaphore(self._limits.connections_max)
        self._routes: dict[tuple[URL, str], _Route] = {}
        self._pool = Pool(
            connect_timeout_s=self._limits.connect_timeout_s,
            silence_timeout_s=self._limits.silence_timeout_s,
            answer_bytes_max=self._limits.answer_bytes_max,
            idle_s=IDLE_S,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()

    async def post(self, slot: Slot, path: str, body: bytes) -> Answer:
        """Sends one request and reads its whole answer.

        Raises:
            UpstreamError: Anything but a 200 with a complete body.
        """
        route = self._route(slot.base_url, path)
        connection = await self._begin(route)
        try:
            await self._ask(connection, route, slot, body)
            answer = await connection.body()
            headers = connection.headers
            return Answer(answer, headers.get("x-debug-trace-id", ""), headers.get("x-api-warning", ""))
        except HttpFault as fault:
            raise _failure_of(fault) from None
        finally:
            self._end(route, connection)

    @contextlib.asynccontextmanager
    async def stream(self, slot: Slot, path: str, body: bytes) -> AsyncIterator[EventStream]:
        """Sends one request and yields its event stream.

        Leaving the context ends the exchange: after the body's end the connection is kept, else it is closed.

        Raises:
            UpstreamError: Anything but a 200 event stream; also while iterating over the payloads.
        """
        route = self._route(slot.base_url, path)
        connection = await self._begin(route)
        try:
            try:
                await self._ask(connection, route, slot, body)
            except HttpFault as fault:
                raise _failure_of(fault) from None
            headers = connection.headers
            if not headers.get("content-type", "").lower().startswith("text/event-stream"):
                raise _malformed("Cohere answered a stream request with another content type")
            async with contextlib.aclosing(self._payloads(connection)) as payloads:
                yield EventStream(payloads, headers.get("x-debug-trace-id", ""), headers.get("x-api-warning", ""))
        finally:
            self._end(route, connection)

    def _route(self, base_url: URL, path: str) -> _Route:
        route = self._routes.get((base_url, path))
        if route is None:
            if len(self._routes) >= _ROUTES_MAX:
                self._routes.clear()
            route = self._routes[base_url, path] = _route_of(base_url, path)
        return route

    async def _begin(self, route: _Route) -> Connection:
        if not self._free.locked():
            await self._free.acquire()
        else:
            await self._wait_for_turn()
        try:
            return await self._pool.take(route.origin)
        except ConnectFailed as fault:
            self._free.release()
            raise _failure_of(fault) from None
        except BaseException:
            self._free.release()
            raise

    def _end(self, route: _Route, connection: Connection) -> None:
        self._pool.give_back(route.origin, connection)
        self._free.release()

    async def _wait_for_turn(self) -> None:
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

    async def _ask(self, connection: Connection, route: _Route, slot: Slot, body: bytes) -> None:
        """Sends the request and waits for the head of a 200."""
        head = f"Authorization: {slot.key.authorization()}\r\nContent-Length: {len(body)}\r\n\r\n"
        slot.sent = True
        await connection.send(route.head + head.encode("ascii"), body)
        await connection.head()
        if connection.status != HTTPStatus.OK:
            raise await self._refusal(connection, slot.key)

    async def _refusal(self, connection: Connection, key: CohereKey) -> UpstreamError:
        body = b""
        with contextlib.suppress(HttpFault):
            while len(body) < ERROR_BODY_BYTES_MAX and (chunk := await connection.chunk()):
                body += chunk
        # Before anything is cut: half a key is a leak too.
        headers = {name: key.redacted_from(value) for name, value in connection.headers.items()}
        return failure_of(connection.status, headers, key.redacted_from(body.decode("latin-1")).encode("latin-1"))

    async def _payloads(self, connection: Connection) -> AsyncGenerator[bytes, None]:
        parser = EventParser(self._limits.event_bytes_max)
        try:
            while chunk := await connection.chunk():
                for payload in parser.feed(chunk):
                    if payload == DONE:
                        # The end of the chunked body may come a packet later.
                        with contextlib.suppress(TimeoutError, HttpFault):
                            async with asyncio.timeout(TAIL_TIMEOUT_S):
                                await connection.chunk()
                        return
                    yield payload
        except HttpFault as fault:
            raise _failure_of(fault) from None
        except EventTooLarge:
            raise _too_large() from None


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


def _route_of(base_url: URL, path: str) -> _Route:
    origin = Origin(base_url.raw_host or "", base_url.port or 0, base_url.scheme == "https")
    host = base_url.raw_authority
    target = base_url.raw_path.rstrip("/") + path
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        "Content-Type: application/json\r\nUser-Agent: cohort\r\nX-Client-Name: cohort\r\n"
    )
    return _Route(origin, head.encode("ascii"))


def _malformed(message: str, status: int | None = 200) -> UpstreamError:
    return UpstreamError(reasons.ERROR_REASON_COHERE_MALFORMED_ANSWER, message, billing=Billing.UNKNOWN, status=status)


def _too_large(status: int | None = 200) -> UpstreamError:
    return UpstreamError(
        reasons.ERROR_REASON_COHERE_ANSWER_TOO_LARGE,
        "Cohere's answer exceeds its bound",
        billing=Billing.UNKNOWN,
        status=status,
    )


def _failure_of(fault: HttpFault) -> UpstreamError:
    match fault:
        case ConnectFailed():  # before the first byte was written: nothing was sent
            return UpstreamError(
                reasons.ERROR_REASON_COHERE_UNAVAILABLE,
                "Cohere could not be reached",
                billing=Billing.NONE,
                fault=type(fault.__cause__ or fault).__name__,
            )
        case Silent():
            return UpstreamError(reasons.ERROR_REASON_COHERE_TIMED_OUT, "Cohere went silent", billing=Billing.UNKNOWN)
        case NotHttp():
            return _malformed("Cohere's answer is not HTTP", status=None)
        case TooLarge():
            return _too_large(status=None)
        case _:
            return UpstreamError(
                reasons.ERROR_REASON_COHERE_CONNECTION_LOST,
                "The connection to Cohere broke before its answer was complete",
                billing=Billing.UNKNOWN,
            )

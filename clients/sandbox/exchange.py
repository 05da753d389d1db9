"""One HTTP request from its key to its answer: key, fault, work, rate limit, bill, and only then a byte.

The bill is written before the answer begins: work that was done is owed, whatever becomes of the connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

import orjson
from aiohttp import web

from clients.sandbox import content_faults, fields, wire
from clients.sandbox.answer import Answer
from clients.sandbox.errors import CohereError
from clients.sandbox.faults import NO_FAULT, Fault
from clients.sandbox.keys import Key
from clients.sandbox.request_log import SeenRequest, public_headers
from clients.sandbox.state import State

FAULT_HEADER = "x-sandbox-fault"
_IN_LOOP_BYTES_MAX = 64 * 1024
_HEADERS = {
    "access-control-expose-headers": "X-Debug-Trace-ID",
    "cache-control": "no-cache, no-store, no-transform, must-revalidate, private, max-age=0",
    "expires": "Thu, 01 Jan 1970 00:00:00 GMT",
    "pragma": "no-cache",
    "server": "envoy",
    "vary": "Origin",
    "x-accel-expires": "0",
}
_JSON, _EVENTS = "application/json", "text/event-stream"
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_FAULT_BODIES = {"html": "text/html", "text": "text/plain", "empty": "text/plain"}


@dataclass(slots=True)
class Incoming:
    """A request as its endpoint sees it.

    Attributes:
        body: The JSON object of a POST; empty if there is no body.
        query: The query of the address.
        tail: The part of the path that names a model.
        answer_id: The id the answer is to have.
        key: The Cohere key it came with, once that is known to be valid.
    """

    path: str
    body: dict[str, Any]
    query: dict[str, str]
    tail: str
    answer_id: str
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a path is answered.

    Attributes:
        costs: True if the work is billed, and so needs a key in good standing.
        threaded: True if even a small request may be work enough to hold the loop up.
    """

    work: Callable[[Incoming], Answer]
    costs: bool = False
    takes_body: bool = False
    threaded: bool = False


@dataclass(slots=True)
class _Exchange:
    """What is known of one request in flight."""

    state: State
    endpoint: Endpoint
    incoming: Incoming
    raw: bytes
    authorization: str | None
    trace_id: str
    started_s: float
    problem: CohereError | None = None
    fault: Fault = field(default=NO_FAULT)

    async def outcome(self) -> wire.Outgoing:
        """The answer to send, billed if it is to be."""
        fault, answer = self.fault, Answer({})
        try:
            if fault.status is None or fault.bills:
                answer = await self._work()
        except CohereError as error:
            if fault.status is None:
                return self._refusal(error)
        if fault.status is not None:
            return self._faulty(fault)
        return self._success(answer)

    async def _work(self) -> Answer:
        if self.problem:
            raise self.problem
        key = self.incoming.key = self.state.keys.require(self.authorization)
        if self.endpoint.costs or key.state == "expired":
            key.check()
        try:
            if self.endpoint.threaded or len(self.raw) > _IN_LOOP_BYTES_MAX:
                answer = await asyncio.to_thread(self.endpoint.work, self.incoming)
            else:
                answer = self.endpoint.work(self.incoming)
        except orjson.JSONEncodeError as error:
            raise CohereError(400, "invalid request: JSON is nested too deep") from error
        self.state.limits.admit(key, self.incoming.path, answer)
        if answer.model and self.fault.bills:
            units = answer.endless_units if self.fault.endless and answer.events else answer.billed_units
            self.state.bill.charge(
                key.name,
                answer.model,
                units,
                path=self.incoming.path,
                request=self.incoming.body,
                fault=self.fault.described(),
                trace_id=self.trace_id,
            )
        return answer

    def _success(self, answer: Answer) -> wire.Outgoing:
        headers = self._headers(_EVENTS if answer.events else _JSON, answer)
        if answer.warning:
            headers["x-api-warning"] = answer.warning
        if answer.counted:
            headers["num_tokens"] = str(sum(answer.billed_units.values()))
            headers["num_chars"] = str(len(self.raw))
        if answer.events:
            return wire.Outgoing(200, headers, events=answer.events)
        return wire.Outgoing(200, headers, content_faults.encode_body(self.fault, answer.body))

    def _refusal(self, error: CohereError) -> wire.Outgoing:
        # Only these two say how many trial calls remain: a 429 does not.
        counted = Answer({}, str(self.incoming.body.get("model", ""))[:128]) if error.status in {400, 404} else None
        headers = self._headers(_JSON, counted)
        body = error.body(self.incoming.answer_id)
        return wire.Outgoing(error.status, headers, content_faults.encode_body(self.fault, body))

    def _faulty(self, fault: Fault) -> wire.Outgoing:
        status = fault.status or 500
        headers = self._headers(_FAULT_BODIES.get(fault.body, _JSON), None) | fault.headers
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        error = CohereError(status, fault.message, fault.error_type)
        bodies = {
            "html": _HTML.format(f"{status} {responses.get(status, '')}".strip()).encode(),
            "text": error.message.encode(),
            "empty": b"",
        }
        if fault.body in bodies:
            return wire.Outgoing(status, headers, bodies[fault.body])
        body = error.body(self.incoming.answer_id)
        return wire.Outgoing(status, headers, content_faults.encode_body(fault, body))

    def _headers(self, content_type: str, answer: Answer | None) -> dict[str, str]:
        elapsed_ms = int((self.state.clock() - self.started_s) * 1000)
        headers = _HEADERS | {
            "content-type": content_type,
            "x-debug-trace-id": self.trace_id,
            "x-envoy-upstream-service-time": str(elapsed_ms),
        }
        if answer is not None:
            headers |= self.state.limits.headers(self.incoming.key, self.incoming.path, answer)
        return headers


async def handle(state: State, request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
    """Answers one request to an endpoint of Cohere's."""
    exchange = await _received(state, request, endpoint)
    outgoing = await exchange.outcome()
    if exchange.fault.latency_ms:
        await asyncio.sleep(exchange.fault.latency_ms / 1000)
    return await wire.send(request, outgoing, exchange.fault, state.closing)


async def _received(state: State, request: web.Request, endpoint: Endpoint) -> _Exchange:
    started_s = state.clock()
    raw, body, problem = b"", {}, None
    try:
        raw = await request.read()
        body = fields.parse(raw) if endpoint.takes_body else {}
    except web.HTTPRequestEntityTooLarge:
        problem = CohereError(413)
    except CohereError as error:
        problem = error
    authorization = request.headers.get("Authorization")
    key = state.keys.find(authorization)
    key_name = key.name if key else ""
    state.requests.add(SeenRequest(started_s, request.path, key_name, public_headers(request.headers), raw))
    tail = request.match_info.get("tail", "")
    incoming = Incoming(request.path, body, dict(request.query), tail, state.new_id())
    exchange = _Exchange(state, endpoint, incoming, raw, authorization, state.new_trace_id(), started_s, problem)
    given = request.headers.get(FAULT_HEADER)
    if given is None:
        exchange.fault = state.faults.take(request.path, key_name, stream=body.get("stream") is True)
        return exchange
    try:
        exchange.fault = Fault.model_validate(orjson.loads(given))
    except ValueError as error:
        exchange.problem = CohereError(400, f"{FAULT_HEADER} is no fault: {error}")
    return exchange

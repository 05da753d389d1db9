"""Small valid requests, and a caller's reading of a refusal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest

CHAT_MODEL = "command-a-03-2025"
EMBED_MODEL = "embed-v4.0"
RERANK_MODEL = "rerank-v3.5"


def chat(text: str = "Which rivers cross Toronto?", **fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": CHAT_MODEL, "messages": [ChatMessage(role="user", text=text)], **fields})


def embed(*texts: str, **fields: Any) -> EmbedRequest:
    fields = {"model": EMBED_MODEL, "input_type": "search_document", **fields}
    return EmbedRequest(texts=texts or ("a river", "a lake"), **fields)


def rerank(**fields: Any) -> RerankRequest:
    return RerankRequest(**{"model": RERANK_MODEL, "query": "river", "documents": ["a lake", "a river"], **fields})


@dataclass(frozen=True)
class Refusal:
    """What a caller sees of a refused call."""

    code: grpc.StatusCode
    message: str
    call_id: str
    details: tuple[Message, ...]

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        (info,) = self.of(error_details_pb2.ErrorInfo)
        return info

    @property
    def reason(self) -> str:
        return str(self.info.reason)

    @property
    def fields(self) -> set[str]:
        return {violation.field for bad in self.of(error_details_pb2.BadRequest) for violation in bad.field_violations}

    @property
    def retry_s(self) -> float | None:
        waits = [float(info.retry_delay.ToTimedelta().total_seconds()) for info in self.of(error_details_pb2.RetryInfo)]
        return waits[0] if waits else None

    def of(self, kind: type[Any]) -> list[Any]:
        return [detail for detail in self.details if isinstance(detail, kind)]


_KINDS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
    error_details_pb2.QuotaFailure,
)


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata() or ())
    raw = trailers.get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
    return Refusal(
        error.code(), error.details() or "", str(trailers.get("x-call-id", "")), tuple(map(_unpacked, status.details))
    )


def _unpacked(packed: any_pb2.Any) -> Message:
    for kind in _KINDS:
        message: Message = kind()
        if packed.Unpack(message):
            return message
    raise AssertionError(f"a detail that no caller expects: {packed.type_url}")


async def until(condition: Callable[[], object]) -> None:
    """Waits for what another task does; the test's timeout bounds it."""
    while not condition():
        await asyncio.sleep(0.01)


async def refused(call: Awaitable[Any]) -> Refusal:
    """Awaits a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return refusal_of(raised.value)


async def refused_stream(call: Any) -> tuple[list[Any], Refusal]:
    """Reads a stream that must fail; gives the events that came before."""
    events: list[Any] = []
    try:
        async for event in call:
            events.append(event)  # noqa: PERF401 (the events before the failure are wanted)
    except grpc.aio.AioRpcError as error:
        return events, refusal_of(error)
    raise AssertionError("the stream ended well")

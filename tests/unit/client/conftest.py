"""A service on loopback that answers every rpc of the contract, or refuses it as a test wants."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message

from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    ChatStreamResponse,
    ContentBlock,
    ContentDelta,
    MessageEnd,
    MessageStart,
)
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceServicer, add_GatewayServiceServicer_to_server
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from cohort.v1.rotate_key_pb2 import RotateKeyRequest, RotateKeyResponse
from cohort.v1.usage_pb2 import Receipt

CREDENTIALS = {"x-api-key", "authorization"}
ANSWER = ChatResponse(
    message=ChatMessage(role="assistant", content=[ContentBlock(text="Hello")]), receipt=Receipt(call_id="0198")
)
EVENTS = (
    ChatStreamResponse(message_start=MessageStart(role="assistant")),
    ChatStreamResponse(content_delta=ContentDelta(text="Hello")),
    ChatStreamResponse(message_end=MessageEnd(receipt=ANSWER.receipt)),
)


@dataclass
class Service(GatewayServiceServicer):
    """Notes the type of each request and the credentials that came with it, and more of the last one."""

    target: str = ""
    refusal: tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]] | None = None
    calls: list[tuple[str, list[tuple[str, str | bytes]]]] = field(default_factory=list)
    trace: str | bytes = ""
    remaining_s: float | None = None

    async def Chat(self, request: ChatRequest, context: Any) -> ChatResponse:
        await self._received(request, context)
        return ANSWER

    async def ChatStream(self, request: ChatRequest, context: Any) -> AsyncIterator[ChatStreamResponse]:
        await self._received(request, context)
        for event in EVENTS:
            yield event

    async def Embed(self, request: EmbedRequest, context: Any) -> EmbedResponse:
        await self._received(request, context)
        return EmbedResponse()

    async def Rerank(self, request: RerankRequest, context: Any) -> RerankResponse:
        await self._received(request, context)
        return RerankResponse()

    async def GetUsage(self, request: GetUsageRequest, context: Any) -> GetUsageResponse:
        await self._received(request, context)
        return GetUsageResponse()

    async def RotateKey(self, request: RotateKeyRequest, context: Any) -> RotateKeyResponse:
        await self._received(request, context)
        return RotateKeyResponse()

    async def _received(self, request: Message, context: Any) -> None:
        self.trace = dict(context.invocation_metadata()).get("x-trace", "")
        self.remaining_s = context.time_remaining()
        credentials = [(name, value) for name, value in context.invocation_metadata() if name in CREDENTIALS]
        self.calls.append((request.DESCRIPTOR.name, credentials))
        if self.refusal is not None:
            code, message, trailers = self.refusal
            await context.abort(code, message, trailers)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    server = grpc.aio.server()
    service = Service()
    add_GatewayServiceServicer_to_server(service, server)
    service.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield service
    await server.stop(None)

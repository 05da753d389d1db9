"""The yardstick: a bare grpc.aio server that answers every call with ready messages, and does nothing else.

Run as `python -m bench.echo`: it prints its port as a line of JSON, and serves until SIGTERM.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc.aio
import orjson
import uvloop

from bench.workloads import all_workloads
from cohort.v1.chat_pb2 import ChatRequest, ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceServicer, add_GatewayServiceServicer_to_server
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from cohort.v1.rotate_key_pb2 import RotateKeyRequest, RotateKeyResponse


class Echo(GatewayServiceServicer):
    """Answers with the messages of the workloads; an Embed with those for as many texts."""

    def __init__(self) -> None:
        workloads = all_workloads()
        self._chat = cast(ChatResponse, workloads["Chat"].messages[0])
        self._events = cast(tuple[ChatStreamResponse, ...], workloads["ChatStream"].messages)
        self._rerank = cast(RerankResponse, workloads["Rerank"].messages[0])
        self._embed = {
            len(each.request.texts): cast(EmbedResponse, each.messages[0])
            for each in workloads.values()
            if isinstance(each.request, EmbedRequest)
        }

    async def Chat(self, _request: ChatRequest, _context: Any) -> ChatResponse:
        return self._chat

    async def ChatStream(self, _request: ChatRequest, _context: Any) -> AsyncIterator[ChatStreamResponse]:
        for event in self._events:
            yield event

    async def Embed(self, request: EmbedRequest, _context: Any) -> EmbedResponse:
        return self._embed[len(request.texts)]

    async def Rerank(self, _request: RerankRequest, _context: Any) -> RerankResponse:
        return self._rerank

    async def GetUsage(self, _request: GetUsageRequest, _context: Any) -> GetUsageResponse:
        return GetUsageResponse()

    async def RotateKey(self, _request: RotateKeyRequest, _context: Any) -> RotateKeyResponse:
        return RotateKeyResponse()


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server()
    add_GatewayServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.buffer.write(orjson.dumps({"event": "serving", "port": port}) + b"\n")
    sys.stdout.buffer.flush()
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(_serve())

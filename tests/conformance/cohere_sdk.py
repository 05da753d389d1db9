"""Cohere's own SDK as an oracle: what it sends is caught by an HTTP server on the loopback, which also answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from aiohttp import web
from cohere import AsyncClientV2

STREAM_END = b'data: {"type":"message-end","delta":{}}\n\ndata: [DONE]\n\n'


@dataclass
class Upstream:
    """The server the SDK talks to.

    Attributes:
        content_type: Of the next answer.
        answer: Body of the next answer.
        body: Body of the last request.
    """

    content_type: str = "application/json"
    answer: bytes = b"{}"
    body: bytes = b""

    async def handle(self, request: web.Request) -> web.Response:
        """Answers any request."""
        self.body = await request.read()
        return web.Response(body=self.answer, content_type=self.content_type)


@dataclass
class CohereSdk:
    """`AsyncClientV2` against `Upstream`, called from tests that are no coroutines."""

    client: AsyncClientV2
    upstream: Upstream
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    def sent(self, method: str, **arguments: Any) -> bytes:
        """The body the SDK sends for a call of *method*, whatever the answer."""
        self.upstream.content_type, self.upstream.answer = "application/json", b"{}"
        self.run(getattr(self.client, method)(**arguments))
        return self.upstream.body

    def sent_for_stream(self, **arguments: Any) -> bytes:
        """The body the SDK sends for chat_stream."""
        self.events(STREAM_END, **arguments)
        return self.upstream.body

    def parsed(self, method: str, answer: bytes) -> Any:
        """The SDK's model of *answer*, got by *method*."""
        self.upstream.content_type, self.upstream.answer = "application/json", answer
        return self.run(getattr(self.client, method)(**_SOME_ARGUMENTS[method]))

    def events(self, answer: bytes, **arguments: Any) -> list[Any]:
        """The SDK's models of the events in the stream *answer*."""
        self.upstream.content_type, self.upstream.answer = "text/event-stream", answer

        async def collect() -> list[Any]:
            return [event async for event in self.client.chat_stream(**arguments or _SOME_ARGUMENTS["chat"])]

        events: list[Any] = self.run(collect())
        return events


@contextlib.contextmanager
def cohere_sdk() -> Iterator[CohereSdk]:
    """Starts server and client on an event loop of their own."""
    with asyncio.Runner() as runner:
        upstream = Upstream()
        stack = contextlib.AsyncExitStack()
        client = runner.run(stack.enter_async_context(_started(upstream)))
        try:
            yield CohereSdk(client, upstream, runner.run)
        finally:
            runner.run(stack.aclose())


@contextlib.asynccontextmanager
async def _started(upstream: Upstream) -> AsyncIterator[AsyncClientV2]:
    app = web.Application(client_max_size=2**26)
    app.router.add_route("POST", "/{path:.*}", upstream.handle)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        async with httpx.AsyncClient(timeout=10) as http:
            yield AsyncClientV2(
                # Key and HTTP client are given, else the SDK looks for some by itself.
                api_key="oracle",
                base_url=f"http://127.0.0.1:{server.addresses[0][1]}",
                httpx_client=http,
                log_warning_experimental_features=False,
                max_retries=0,
            )
    finally:
        await server.cleanup()


_SOME_ARGUMENTS: dict[str, dict[str, Any]] = {
    "chat": {"model": "command", "messages": [{"role": "user", "content": "Hi"}]},
    "embed": {"model": "embed", "input_type": "search_query", "texts": ["Hi"]},
    "rerank": {"model": "rerank", "query": "Hi", "documents": ["Hi"]},
}

"""The sandbox as a server: Cohere's endpoints and the control API on one loopback port."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from clients.sandbox import chat, control, embed, models, rerank
from clients.sandbox.answer import Answer
from clients.sandbox.errors import CohereError
from clients.sandbox.exchange import Endpoint, Incoming, handle
from clients.sandbox.limits import MINUTE_S
from clients.sandbox.state import State

BODY_BYTES_MAX = 32 * 1024 * 1024
_SHUTDOWN_S = 0.5


def _check_api_key(incoming: Incoming) -> Answer:
    key = incoming.key
    organization_id = key.organization_id if key else ""
    return Answer({"valid": True, "organization_id": organization_id, "owner_id": f"{organization_id}-owner"})


def _no_route(incoming: Incoming) -> Answer:
    raise CohereError(404, f"no such route: {incoming.path[:128]}")


def _costly(work: Callable[[dict[str, Any], str], Answer], *, threaded: bool) -> Endpoint:
    return Endpoint(
        lambda incoming: work(incoming.body, incoming.answer_id), costs=True, takes_body=True, threaded=threaded
    )


_ENDPOINTS = (
    ("POST", "/v2/chat", _costly(chat.answer, threaded=False)),
    ("POST", "/v2/embed", _costly(embed.answer, threaded=True)),
    ("POST", "/v2/rerank", _costly(rerank.answer, threaded=True)),
    ("POST", "/v1/check-api-key", Endpoint(_check_api_key)),
    ("GET", "/v1/models", Endpoint(lambda incoming: Answer(models.page(incoming.query)))),
    ("GET", "/v1/models/{tail}", Endpoint(lambda incoming: Answer(models.describe(incoming.tail)))),
    ("*", "/{tail:.*}", Endpoint(_no_route)),
)


class Sandbox:
    """A local Cohere with its own keys, bill and faults.

    Example:
        async with Sandbox().serve() as url:
            ...  # url is like "http://127.0.0.1:43211", for `base_url`

    Args:
        seed: Of the ids of answers; everything else follows from the requests alone.
        clock: Seconds, monotonic; rate limits and records read it.
        bill_file: Gets a line for each attempt that is billed, as `Bill` says; for checks that outlive the process.
        minute_s: How long the minute of the rate limits is.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        bill_file: Path | None = None,
        minute_s: float = MINUTE_S,
    ) -> None:
        self.state = State(seed=seed, clock=clock, bill_file=bill_file, minute_s=minute_s)

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listens on a loopback address while the context is open, and gives the server's URL.

        Raises:
            ValueError: *host* is no loopback address: the control API knows no caller.
        """
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the sandbox listens on loopback only, not on {host}")
        self.state.closing.clear()
        runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            bound = runner.addresses[0]
            yield f"http://[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"http://{bound[0]}:{bound[1]}"
        finally:
            self.state.closing.set()
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(control.routes(self.state))
        for method, path, endpoint in _ENDPOINTS:
            app.router.add_route(method, path, self._handler(endpoint))
        return app

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await handle(self.state, request, endpoint)

        return answer


async def serve_forever(listen: str) -> None:
    """Serves on `host:port` until cancelled.

    Raises:
        ValueError: The host is no loopback address.
        OSError: The port is taken.
    """
    host, _, port = listen.rpartition(":")
    async with Sandbox().serve(host=host.strip("[]"), port=int(port)):
        await asyncio.Event().wait()

"""An issuer that does as a test says and counts what it is asked: a real HTTP server on loopback."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from service.identity.issuers.fetch import Fetcher
from tests.identity.issuers.signing import Key

OIDC, RFC8414 = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
JWKS, INTROSPECTION = "/jwks", "/introspect"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class FakeIssuer:
    url: str = ""
    keys: list[Key] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    """Path → what is answered there: JSON, or a function of the request that answers."""
    status: int = 200
    asked: Counter[str] = field(default_factory=Counter)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        await self.open.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        documents = {JWKS: {"keys": [key.jwk for key in self.keys]}, **self.documents}
        if OIDC not in documents and RFC8414 not in documents:
            documents[OIDC] = self.metadata()
        document = documents.get(request.path)
        if callable(document):
            answering: Callable[[web.Request], Awaitable[web.StreamResponse]] = document
            return await answering(request)
        return web.Response(status=404) if document is None else web.json_response(document)

    def metadata(self, **changed: Any) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{JWKS}",
            "introspection_endpoint": f"{self.url}{INTROSPECTION}",
            **changed,
        }


@contextlib.asynccontextmanager
async def fake_issuer(*keys: Key) -> AsyncIterator[FakeIssuer]:
    """An issuer with these keys, that answers at once."""
    issuer = FakeIssuer(keys=list(keys))
    issuer.open.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        issuer.url = f"http://127.0.0.1:{server.port}"
        yield issuer


@contextlib.asynccontextmanager
async def fetching(**arguments: Any) -> AsyncIterator[Fetcher]:
    """A fetcher that is closed in the end."""
    fetcher = Fetcher(**arguments)
    try:
        yield fetcher
    finally:
        await fetcher.close()

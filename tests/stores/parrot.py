"""A store that answers everything wrongly, and quotes whatever it was sent and whatever it keeps."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web

from tests.stores.shelf import COHERE_KEYS


class Parrot:
    """`status` is what it answers; `form` how: `json`, `text`, `cut` off, by `drops`, `endless`, or `silent`."""

    def __init__(self) -> None:
        self.status = 500
        self.form = "json"
        self.requests = 0
        self.paths: list[str] = []
        self.tokens: list[str] = []
        self.logins_refused = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.paths.append(request.path)
        self.tokens.append(request.headers.get("X-Vault-Token", ""))
        body = (await request.read()).decode("latin-1")
        quoted = f"{body} {dict(request.headers)} {' '.join(COHERE_KEYS)}"
        if not self.logins_refused and "/auth/" in request.path:
            auth = {"client_token": "canary-token-of-a-login", "lease_duration": 60, "renewable": True}
            return web.json_response({"auth": auth, "data": {"ttl": 60, "renewable": True}})
        if self.form == "silent":
            await asyncio.sleep(3600)
        if self.form == "cut":
            response = web.StreamResponse(status=self.status, headers={"Content-Length": "100000"})
            await response.prepare(request)
            await response.write(quoted.encode())
            assert request.transport is not None
            request.transport.abort()
            return response
        if self.form in {"drops", "endless"}:
            return await self._without_end(request)
        headers = {"Location": f"{request.url.origin()}/elsewhere"} if 300 <= self.status < 400 else None
        if self.form == "text":
            return web.Response(status=self.status, text=quoted, headers=headers)
        answer = {"errors": [quoted], "__type": f"{quoted}Exception", "message": quoted, "data": {"data": quoted}}
        answer |= {"error": {"code": quoted, "message": quoted}, "SecretString": [quoted], "VersionId": quoted}
        return web.Response(
            status=self.status, text=json.dumps(answer), content_type="application/json", headers=headers
        )

    async def _without_end(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(OSError):
            while self.form in {"drops", "endless"}:
                await response.write(b" " * (1 if self.form == "drops" else 65_536))
                await asyncio.sleep(0.05 if self.form == "drops" else 0)
        return response


@contextlib.asynccontextmanager
async def parrot_server() -> AsyncIterator[tuple[Parrot, str]]:
    """Serves it; gives its address."""
    parrot = Parrot()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", parrot.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield parrot, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

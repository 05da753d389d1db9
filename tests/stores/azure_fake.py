"""An Azure Key Vault and its login as far as Cohort asks them, over TLS, under the names that Azure has for them."""

import contextlib
import itertools
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from azure.core.pipeline.transport import AioHttpTransport

from clients.secrets.azure import AzureKeySource, AzureVault, client_secret
from clients.secrets.key_source import KeySource
from clients.secrets.reference import reference_of
from clients.secrets.source import FileSource

VAULT, LOGIN = "cohort.vault.azure.net", "login.microsoftonline.com"
TENANT, CLIENT = "example-tenant", "example-client"
CLIENT_SECRET = "azure-canary-client-secret-77aa"
TOKEN = "azure-canary-token-66bb55cc44dd"
NAME = "cohere-search"


class AzureFake:
    """One secret; its versions have names without an order, as Azure's have."""

    def __init__(self) -> None:
        self.versions: list[dict[str, Any]] = []
        self.status = 200
        """What the vault answers everything with, once we are known."""
        self.login_status = 200
        self.logins = 0
        self._names = (f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}" for number in itertools.count(1))

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        app.router.add_get("/secrets/{name}/versions", self._list)
        app.router.add_get("/secrets/{name}/{version}", self._get)
        return app

    def add(self, value: str) -> str:
        name = next(self._names)
        self.versions.append(
            {"name": name, "value": value, "enabled": True, "created": 1_700_000_000 + len(self.versions)}
        )
        return name

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.logins += 1
        if self.login_status != 200 or form["client_secret"] != CLIENT_SECRET or request.host != LOGIN:
            description = f"AADSTS7000215: invalid client secret {dict(form)} of {dict(request.headers)}"
            return web.json_response({"error": "invalid_client", "error_description": description}, status=401)
        return web.json_response({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    async def _list(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if request.match_info["name"] != NAME:
            return self._error(404, "SecretNotFound")
        # In no order, two a page.
        names = sorted(self.versions, key=lambda version: str(version["name"]))
        start = int(request.query.get("$skiptoken", 0))
        following = f"https://{VAULT}/secrets/{NAME}/versions?api-version=7.6&$skiptoken={start + 2}"
        page = [self._described(version) for version in names[start : start + 2]]
        return web.json_response({"value": page, "nextLink": following if start + 2 < len(names) else None})

    async def _get(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        for version in self.versions:
            if version["name"] == request.match_info["version"] and request.match_info["name"] == NAME:
                if not version["enabled"]:
                    return self._error(403, "Forbidden")
                return web.json_response({"value": version["value"], **self._described(version)})
        return self._error(404, "SecretNotFound")

    def _described(self, version: dict[str, Any]) -> dict[str, Any]:
        attributes = {"enabled": version["enabled"], "created": version["created"], "updated": version["created"]}
        return {"id": f"https://{VAULT}/secrets/{NAME}/{version['name']}", "attributes": attributes}

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer authorization="https://{LOGIN}/{TENANT}", resource="https://vault.azure.net"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if self.status != 200:
            return self._error(self.status, f"quoted: {dict(request.headers)} {self.versions}")
        return None

    def _error(self, status: int, code: str) -> web.Response:
        return web.json_response({"error": {"code": code, "message": f"{code} {TOKEN}"}}, status=status)


class _ToPort(AbstractResolver):
    """Every name is this machine's, at one port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> list[ResolveResult]:
        del port, family  # there is but one
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing to close."""


@contextlib.asynccontextmanager
async def azure_server() -> AsyncIterator[tuple[AzureFake, int, ssl.SSLContext]]:
    """Serves the fake; gives its port and what trusts it."""
    fake = AzureFake()
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(VAULT, LOGIN).configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    runner = web.AppRunner(fake.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
    await site.start()
    try:
        yield fake, int(runner.addresses[0][1]), trusting
    finally:
        await runner.cleanup()


class AzureShelf:
    """See `Shelf`: the one secret of the fake."""

    def __init__(self, fake: AzureFake, port: int, trusting: ssl.SSLContext, folder: Path) -> None:
        self.fake = fake
        self.secret_file = folder / "client_secret"
        self.secret_file.write_text(CLIENT_SECRET)

        def transport() -> AioHttpTransport:
            connector = aiohttp.TCPConnector(resolver=_ToPort(port), ssl=trusting)
            return AioHttpTransport(session=aiohttp.ClientSession(connector=connector, auto_decompress=False))

        identity = client_secret(TENANT, CLIENT, FileSource(self.secret_file), None)
        self.store = AzureVault(f"https://{VAULT}", identity, transport)
        self.source: KeySource = self.other("azure-kv:{}")

    def other(self, reference: str) -> KeySource:
        return AzureKeySource(reference_of(reference.format(NAME)), self.store)

    async def put(self, value: str) -> str:
        return self.fake.add(value)

    async def disable_newest(self) -> None:
        self.fake.versions[-1]["enabled"] = False

    async def bar(self) -> None:
        self.fake.status = 403

    async def lock_out(self) -> None:
        self.fake.login_status = 401

    async def close(self) -> None:
        await self.store.close()

"""An authorization server on loopback with just what a service asks of one: metadata, keys, introspection."""

import base64
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Collection
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

CLIENT_ID = "cohort-service"
WITHDRAWN = "withdrawn"


class Issuer:
    """Gives tokens, and tells of them who asks.

    Args:
        client_secret: With which the service may ask for opaque tokens.
    """

    def __init__(self, client_secret: str) -> None:
        self.url = ""
        self._authorization = "Basic " + base64.b64encode(f"{CLIENT_ID}:{client_secret}".encode()).decode()
        self._keys = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("current", WITHDRAWN)}
        self._tokens: dict[str, dict[str, Any]] = {}

    def claims(self, team: str, scopes: Collection[str], *, lifetime_s: float = 600, **more: Any) -> dict[str, Any]:
        """What a token of a team says, whichever form it has."""
        now_s = time.time()
        return {
            "iss": self.url,
            "aud": "cohort",
            "sub": "indexer",
            "client_id": "indexer",
            "iat": now_s - 900,
            "exp": now_s + lifetime_s,
            "jti": uuid.uuid4().hex,
            "team": team,
            "scope": " ".join(f"cohort:{scope}" for scope in scopes),
            **more,
        }

    def jwt(self, claims: dict[str, Any], *, kid: str = "current", **header: Any) -> str:
        """A signed token; with the key `WITHDRAWN` one that the issuer does not stand for any more."""
        key = self._keys.get(kid, self._keys["current"])
        return jwt.encode(claims, key, "ES256", {"typ": "at+jwt", "kid": kid, **header})

    def opaque(self, claims: dict[str, Any], token: str = "", *, active: bool = True) -> str:
        """A token that says nothing by itself."""
        token = token or uuid.uuid4().hex
        self._tokens[token] = {"active": active, **claims}
        return token

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Answers while the context is open; then `url` is what its tokens say in `iss`."""
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._metadata)
        app.router.add_get("/keys", self._jwks)
        app.router.add_post("/introspect", self._introspect)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _metadata(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "introspection_endpoint": f"{self.url}/introspect",
            }
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._keys["current"].public_key(), as_dict=True)
        return web.json_response({"keys": [{**key, "kid": "current", "use": "sig", "alg": "ES256"}]})

    async def _introspect(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._authorization:
            return web.json_response({"error": "invalid_client"}, status=401)
        token = str((await request.post())["token"])
        said = self._tokens.get(token, {"active": False})
        return web.json_response(said if said["active"] else {"active": False})

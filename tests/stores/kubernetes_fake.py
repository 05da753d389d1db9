"""The one question that a Vault asks of Kubernetes: whose service account is this JWT?"""

import contextlib
import time
from collections.abc import AsyncIterator

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

REVIEWER_JWT = "reviewer-canary-jwt"
_KEY = ec.generate_private_key(ec.SECP256R1())


def account_jwt(name: str) -> str:
    """The JWT that a pod of this service account finds in its file."""
    about = {"namespace": "cohort", "serviceaccount": {"name": name, "uid": f"uid-{name}"}}
    now_s = int(time.time())
    claims = {"iss": "kubernetes", "aud": ["vault"], "iat": now_s, "nbf": now_s, "exp": now_s + 600}
    claims |= {"kubernetes.io": about, "sub": f"system:serviceaccount:cohort:{name}"}
    return jwt.encode(claims, _KEY, algorithm="ES256")


async def _review(request: web.Request) -> web.Response:
    review = await request.json()
    claims = jwt.decode(review["spec"]["token"], _KEY.public_key(), algorithms=["ES256"], audience="vault")
    user = {"username": claims["sub"], "uid": claims["kubernetes.io"]["serviceaccount"]["uid"]}
    status = {"authenticated": True, "user": {**user, "groups": []}, "audiences": ["vault"]}
    return web.json_response({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})


@contextlib.asynccontextmanager
async def kubernetes_server() -> AsyncIterator[str]:
    """Serves it; gives its address."""
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", _review)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

"""What it costs to know a caller: CPU of the whole check, from the metadata to the principal with its scope."""

import asyncio
import datetime
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.call import Call
from service.identity import access_keys
from service.identity.access_keys import AccessKeyRecord, AccessKeys
from service.identity.authenticator import Authenticator
from service.identity.directory import ServiceAccountRecord
from service.identity.principal import Principal
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import TokenCache
from service.interceptors.auth import AuthInterceptor

RPC = "/cohort.v1.GatewayService/Chat"
ACCESS_KEYS = 1_000
ROUNDS = 5

_PEPPER = secrets.token_bytes(32)
_ACCOUNT = "sa_0123456789abcdef"


@dataclass(frozen=True, slots=True)
class CheckCost:
    """What one check costs."""

    credential: str
    cpu_us: float
    """Of this thread; the least of `ROUNDS` rounds."""


def check_costs(calls: int = 20_000) -> list[CheckCost]:
    """Measures the checks that stand before every call: of access keys, and of JWTs verified before.

    Args:
        calls: In each round.
    """
    return asyncio.run(_measured(calls))


async def _measured(calls: int) -> list[CheckCost]:
    key, private = "", Ed25519PrivateKey.generate()
    records = []
    for _ in range(ACCESS_KEYS):
        key_id, key = access_keys.create("bench")
        principal = Principal("demo", "bench", frozenset({"chat"}), "access_key", key_id)
        records.append(
            AccessKeyRecord(key_id, access_keys.digest_of(key, _PEPPER), "1", principal, time.time() + 86_400)
        )
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    holder = Principal("demo", "bench", frozenset({"chat"}), "service_account", _ACCOUNT)
    account = ServiceAccountRecord(_ACCOUNT, public, "EdDSA", holder)
    accounts = ServiceAccounts(lambda: {_ACCOUNT: account})
    accounts.expected = Expected("cohort", "bench")
    identities: Any = SimpleNamespace(access_keys=AccessKeys("bench", {"1": _PEPPER}, records), used=lambda _: None)
    auth = AuthInterceptor(Authenticator(identities, accounts, SpiffeIds(), TokenCache()), lambda _, __: None)
    return [
        CheckCost("access key", await _cpu_us(auth, ("x-api-key", key), calls)),
        CheckCost("JWT verified before", await _cpu_us(auth, ("authorization", f"Bearer {_token(private)}"), calls)),
    ]


def _token(private: Ed25519PrivateKey) -> str:
    now = datetime.datetime.now(datetime.UTC)
    claims = {
        "iss": _ACCOUNT, "sub": _ACCOUNT, "aud": "cohort", "org_id": "bench", "scopes": ["chat"],
        "iat": now, "exp": now + datetime.timedelta(hours=1),
    }  # fmt: skip
    return jwt.encode(claims, private, algorithm="EdDSA")


async def _cpu_us(auth: AuthInterceptor, credential: tuple[str, str], calls: int) -> float:
    snapshot: Any = SimpleNamespace(policies={"demo": None})
    context: Any = None
    # As a stub of Go sends it: the credential is one of a few.
    metadata = (("user-agent", "grpc-go/1.76.0"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-01"), credential)
    call = Call(RPC, snapshot, 0.0, metadata=metadata)
    passed: Callable[[Call, Any], Awaitable[None]] = _pass_on
    least_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        for _ in range(calls):
            await auth.intercept(call, context, passed)
        least_s = min(least_s, time.thread_time() - began_s)
    return least_s / calls * 1e6


async def _pass_on(_: Call, __: Any) -> None:
    """The call itself, which costs nothing here."""

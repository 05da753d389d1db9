"""Who forges JWTs of each kind that lets a caller in, and shows them the way that a call's credential goes."""

import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.config import IssuerConfig
from service.identity.authenticator import Authenticator
from service.identity.credential import Credential
from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import Fetcher
from service.identity.issuers.jwt import IssuerJwts
from service.identity.issuers.key_cache import KeyCache
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import TokenCache
from tests.identity.issuers.fake_issuer import Clock, FakeIssuer
from tests.identity.issuers.signing import AUDIENCE, base64url, claims
from tests.unit.identity.account_tokens import Account, knowing

NOW_S = int(time.time())
KINDS = {"issuer RS256": "rsa-1", "issuer ES256": "ec-1", "account EdDSA": "EdDSA", "account ES256": "ES256"}


@dataclass
class Forger:
    """Knows all about one kind of JWT, and whose signature counts."""

    authenticator: Authenticator
    header: dict[str, Any]
    claims: dict[str, Any]
    spelt: Callable[[bytes, bytes], str]
    """Signs with the right key."""
    strangers: Callable[[bytes, bytes], str]
    """Signs with a key of the same kind."""
    public: Any
    other: FakeIssuer
    """Has the stranger's keys."""

    def token(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A JWT with these members changed; what is changed to `LEFT_OUT` is left out."""
        return self.spelt(json_of(self.header, header or {}), json_of(self.claims, changed))

    def but_for(self, header: tuple[bytes, bytes] = (b"", b""), claims: tuple[bytes, bytes] = (b"", b"")) -> str:
        """A JWT in whose JSON a text is another one."""
        parts = ((json_of(self.header), header), (json_of(self.claims), claims))
        assert all(before in whole for whole, (before, _) in parts)
        return self.spelt(*(whole.replace(before, after, 1) if before else whole for whole, (before, after) in parts))

    def maced(self, secret: bytes, algorithm: str = "HS256") -> str:
        """A JWT with a MAC under what is no secret, the public key."""
        signed = f"{base64url(json_of(self.header, {'alg': algorithm}))}.{base64url(json_of(self.claims))}"
        return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def with_signature(self, signature: bytes) -> str:
        return f"{self.token().rpartition('.')[0]}.{base64url(signature)}"

    def pem(self) -> bytes:
        return bytes(self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    async def takes(self, token: str) -> Principal:
        return await self.authenticator.principal_of(Credential(token), None, NOW_S)

    async def why_not(self, token: str) -> str:
        with pytest.raises(CredentialRefused) as refused:
            await self.takes(token)
        return refused.value.why


LEFT_OUT = object()


def json_of(whole: dict[str, Any], changed: dict[str, Any] | None = None) -> bytes:
    members = {**whole, **(changed or {})}
    kept = {name: value for name, value in members.items() if value is not LEFT_OUT}
    return json.dumps(kept, separators=(",", ":")).encode()


def forger_of(kind: str, issuer: FakeIssuer, other: FakeIssuer, fetcher: Fetcher, clock: Clock) -> Forger:
    """The forger of a kind of `KINDS`: of the JWTs of an issuer, or of an account that is known."""
    config = IssuerConfig.model_validate({"issuer": issuer.url, "private_addresses": True})
    keys = KeyCache("sso", fetcher, Endpoint(fetcher, issuer.url, "jwks_uri", None, clock), config.algorithms, clock)
    nobody: Any = None
    account, stranger = (Account("sa_AAAAAAAAAAAAAAAA", KINDS[kind] if "account" in kind else "EdDSA") for _ in "ab")
    authenticator = Authenticator(nobody, knowing(account.record()), SpiffeIds(), TokenCache())
    authenticator.trust({issuer.url: IssuerJwts("sso", config, AUDIENCE, keys)}, None)
    if "account" in kind:
        header = {"alg": account.algorithm, "typ": "JWT"}
        said = account.claims(iat=NOW_S, exp=NOW_S + 600)
        return Forger(authenticator, header, said, account.spelt, stranger.spelt, account.key.public_key(), other)
    key, theirs = (next(key for key in each.keys if key.kid == KINDS[kind]) for each in (issuer, other))
    header = {"alg": key.algorithm, "typ": "at+jwt", "kid": KINDS[kind]}
    said = claims(issuer.url, NOW_S)
    return Forger(authenticator, header, said, key.spelt, theirs.spelt, key.private.public_key(), other)

"""Strings of the corpus wherever a credential, or what comes with one, has room for them."""

import base64
import functools
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import grpc.aio
import orjson
import pytest

from service.identity import jwt_checks, tokens
from service.identity.issuers.introspection import Introspection
from tests.identity.corpus import HEADER_STRINGS, STRINGS
from tests.identity.minters import Holder, Presented, bearer
from tests.identity.rpcs import TEAM
from tests.identity.scene import Scene

SCOPE = "usage:read"
"""What the call needs that is made with them."""

_ANYWHERE = {"iss": "refused", "aud": "refused", "exp": "refused", "iat": "refused", "nbf": "refused",
             "cnf": "refused", "cnf.x5t#S256": "refused"}  # fmt: skip
_AT_AN_ISSUER = {"sub": "harmless", "client_id": "harmless", "azp": "harmless", "jti": "harmless", "team": "refused",
                 "scope": "refused", "act": "refused", "act.sub": "harmless", "unknown": "harmless"}  # fmt: skip
CLAIMS = {
    "service account": {**_ANYWHERE, "sub": "refused", "org_id": "refused", "scopes": "refused", "jti": "harmless",
                        "unknown": "harmless"},
    "OAuth2 JWT": {**_ANYWHERE, **_AT_AN_ISSUER},
    "OAuth2 opaque": {**_ANYWHERE, **_AT_AN_ISSUER, "active": "refused", "username": "harmless",
                      "token_type": "refused", "token_use": "refused"},
}  # fmt: skip
"""What a token of each kind may say, and what comes of it where it says a string of the corpus; `a.b` is within `a`."""
HEADER = ("alg", "kid", "typ", "crit", "b64", "jku", "x5u", "cty")
METADATA = ("x-request-id", "traceparent", "x-forwarded-for", "user-agent", "x-forwarded-client-cert")


class Shown(NamedTuple):
    """A credential with a string in it.

    Attributes:
        expected: "OK"; "refused"; "harmless" if it is one or the other by the string.
        agent: What the client says to be; empty for what gRPC says.
    """

    expected: str
    presented: Presented
    agent: str = ""

    def channel(self, made: Scene) -> grpc.aio.Channel:
        if not self.agent:
            return made.channel(self.presented.certificate)
        options = (("grpc.primary_user_agent", self.agent),)
        credentials = grpc.ssl_channel_credentials(made.authority.pem)
        return grpc.aio.secure_channel(f"localhost:{made.service.port}", credentials, options)


def credentials(made: Scene) -> Iterator[Shown]:
    """All of them."""
    valid = made.minters.access_key.mint(Holder(TEAM, SCOPE))
    for text in HEADER_STRINGS:
        yield Shown("refused", Presented((("x-api-key", text),)))
        yield Shown("refused", Presented((("x-api-key", f"cohort_test_{text}"),)))
        yield Shown("refused", bearer(text))
        yield Shown("refused", Presented((("authorization", text),)))
        for name in METADATA:
            yield Shown("OK", Presented((*valid.metadata, (name, text))))
        yield Shown("OK", valid, agent=text)
    for text in STRINGS:
        yield Shown("OK", Presented((*valid.metadata, ("trace-bin", text.encode()))))  # type: ignore[arg-type]
        for kind, claims in CLAIMS.items():
            minter = made.minters.tokens()[kind]
            for claim, expected in claims.items():
                yield Shown(expected, minter.mint(Holder(TEAM, SCOPE), **_said(claim, text)))
        yield from _of_a_header(made, text)
    for text in filter(str.isascii, STRINGS):
        yield from _of_a_certificate(made, text, valid)


def _said(claim: str, text: str) -> dict[str, Any]:
    outer, _, inner = claim.partition(".")
    if inner:
        return {outer: {inner: text}}
    return {outer: [text] if outer == "scopes" else text}


def _of_a_header(made: Scene, text: str) -> Iterator[Shown]:
    """A JWT whose header was changed after it was signed, and one that was signed with it."""
    ((_, value),) = made.minters.oauth2_jwt.mint(Holder(TEAM, SCOPE)).metadata
    for name in HEADER:
        header = orjson.dumps({"alg": "ES256", "typ": "at+jwt", "kid": "current", name: text})
        encoded = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
        yield Shown("refused", bearer(".".join([encoded, *value.removeprefix("Bearer ").split(".")[1:]])))
    issuer = made.minters.oauth2_jwt.issuer
    for name, expected in {"kid": "refused", "typ": "refused", "jku": "harmless", "x5u": "harmless"}.items():
        signed = issuer.jwt(issuer.claims(TEAM, [SCOPE]), **{name: text})
        yield Shown(expected, bearer(signed))


def _of_a_certificate(made: Scene, text: str, valid: Presented) -> Iterator[Shown]:
    """A SPIFFE id, alone and below a credential."""
    authority = made.minters.mtls.authority
    for spiffe_id in (f"spiffe://prod.example.com/search/{text}", f"spiffe://{text}/search"):
        certificate = authority.workload(spiffe_id)
        yield Shown("refused", Presented(certificate=certificate))
        yield Shown("harmless", Presented(valid.metadata, certificate))


class Noting(dict[str, Any]):
    """What a token says, which notes what of it is looked at."""

    read: ClassVar[set[str]]

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.read.add(str(key))
        return super().__contains__(key)


def noted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Has the names noted that the service looks at in tokens; they come into the set that is returned."""

    class Here(Noting):
        read: ClassVar[set[str]] = set()

    checked, peeked, verified = jwt_checks._without_duplicates, tokens._object, Introspection._verified

    @functools.wraps(verified)
    def verified_here(self: Introspection, answer: Any, now_s: float) -> Any:
        return verified(self, Here(answer), now_s)

    monkeypatch.setattr(jwt_checks, "_without_duplicates", lambda pairs: Here(checked(pairs)))
    monkeypatch.setattr(tokens, "_object", lambda part: Here(peeked(part)))
    monkeypatch.setattr(Introspection, "_verified", verified_here)
    return Here.read


def injected() -> set[str]:
    """The names in tokens where strings of the corpus stand."""
    claims = {name for said in CLAIMS.values() for claim in said for name in claim.split(".")}
    return claims | set(HEADER)

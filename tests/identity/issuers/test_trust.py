"""What the authenticator does with what issuers' verifiers say."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from service.identity.authenticator import Authenticator
from service.identity.credential import Credential
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import KEPT_MAX_S, TokenCache
from service.identity.tokens import Verified

NOW_S = 1_800_000_000.0
ISSUER = "https://id.example"
ADA = Principal("search", "ada", frozenset({"chat"}), "oauth2", "sso:ada")


class Verifier:
    """Says the same of every token, and does something meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.asked = 0
        self._meanwhile = meanwhile

    async def verify(self, _token: str, _what: object, now_s: float) -> Verified:
        self.asked += 1
        self._meanwhile()
        return Verified(ADA, now_s + 3600)


def authenticator() -> Authenticator:
    nobody: Any = None
    return Authenticator(nobody, nobody, SpiffeIds(), TokenCache())


def token(**claims: Any) -> Credential:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims))
    return Credential(".".join((*parts, "c2lnbmF0dXJl")))


async def test_a_token_goes_to_the_verifier_of_exactly_its_issuer() -> None:
    trusted, other, opaque = Verifier(), Verifier(), Verifier()
    callers = authenticator()
    callers.trust({ISSUER: trusted, f"{ISSUER}/": other}, opaque)

    await callers.principal_of(token(iss=ISSUER), None, NOW_S)
    await callers.principal_of(Credential("opaque"), None, NOW_S)
    await callers.principal_of(Credential("opaque.token"), None, NOW_S)

    assert (trusted.asked, other.asked, opaque.asked) == (1, 0, 2)


@pytest.mark.parametrize(
    "issuer", [None, 7, [ISSUER], "", f"{ISSUER}/x", ISSUER.upper(), f" {ISSUER}", "https://id.example."]
)
async def test_a_token_of_no_trusted_issuer_is_nobodys(issuer: Any) -> None:
    trusted, opaque = Verifier(), Verifier()
    callers = authenticator()
    callers.trust({ISSUER: trusted}, opaque)

    with pytest.raises(CredentialRefused):
        await callers.principal_of(token(iss=issuer), None, NOW_S)
    assert (trusted.asked, opaque.asked) == (0, 0)


async def test_a_verified_token_is_verified_again_after_a_minute() -> None:
    trusted = Verifier()
    callers = authenticator()
    callers.trust({ISSUER: trusted}, None)
    for second in range(0, 180, 10):
        await callers.principal_of(token(iss=ISSUER), None, NOW_S + second)

    assert trusted.asked == 180 / KEPT_MAX_S


async def test_what_was_verified_while_who_may_call_changed_is_not_remembered() -> None:
    callers = authenticator()
    trusted = Verifier(lambda: callers.trust({}, None))
    callers.trust({ISSUER: trusted}, None)

    assert await callers.principal_of(token(iss=ISSUER), None, NOW_S) == ADA  # it began under the old config
    with pytest.raises(CredentialRefused, match="unknown issuer"):
        await callers.principal_of(token(iss=ISSUER), None, NOW_S)

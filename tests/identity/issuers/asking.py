"""An issuer of opaque tokens that answers for all of them, and who asks it."""

from typing import Any

import pytest

from service.identity.issuers.introspection import Introspection
from service.identity.refusals import CredentialRefused
from service.identity.tokens import Verified
from tests.identity.issuers.fake_issuer import FakeIssuer
from tests.identity.issuers.signing import claims

NOW_S = 1_800_000_000.0
HERE, ELSEWHERE = "ipv4:10.0.0.1:40000", "ipv4:10.0.0.2:40000"
CLIENT_ID, CLIENT_SECRET = "cohort server", "s+cr:t 100%&"


def active(issuer: FakeIssuer, **changed: Any) -> dict[str, Any]:
    return {"active": True, **claims(issuer.url, NOW_S, **changed)}


async def verify(asked: Introspection, token: str = "opaque-token", address: str = HERE) -> Verified:
    return await asked.verify(token, address, NOW_S)


async def why_not(asked: Introspection, token: str = "opaque-token") -> str:
    with pytest.raises(CredentialRefused) as refused:
        await verify(asked, token)
    return refused.value.why

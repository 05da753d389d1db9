"""A real identity provider and a whole service: its JWTs, its keys, and what happens when it stops."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from cohort.v1.audit_pb2 import AUDIT_RECORD_KIND_NOTICE, ListAuditRecordsRequest
from service.identity.issuers.key_cache import COOLDOWN_S
from service.identity.refusals import ISSUER_WAIT_S
from tests.e2e.requests import chat, embed, refused
from tests.identity.issuers.signing import claims, rsa_key
from tests.identity.issuers.trusting import (
    StoppedClock,
    bearer,
    call,
    jwt_lines,
    records,
    rejected,
    rewrite,
    trusting_jwts,
    undecided,
)
from tests.idp.idp import ES256, RS256, RS256_ELSEWHERE, Idp, Options, missing, running


@pytest.mark.parametrize("resource", [RS256, ES256])
async def test_a_jwt_of_the_provider_opens_what_its_scopes_say(idp: Idp, tmp_path: Path, resource: str) -> None:
    async with trusting_jwts(tmp_path, idp) as service:
        token = idp.token("chat", resource)
        answer = await call(service, token)
        narrow = await refused(service.stub.Embed(embed(), metadata=bearer(token)))
        line = service.lines()[0]

    assert answer.receipt.call_id
    assert narrow.reason == "SCOPE_MISSING"
    assert {name: line[name] for name in ("team", "principal", "method", "credential_id")} == {
        "team": "demo",
        "principal": "indexer",
        "method": "oauth2",
        "credential_id": "sso:indexer",
    }


async def test_a_jwt_with_something_wrong_is_refused(idp: Idp, tmp_path: Path) -> None:
    async with trusting_jwts(tmp_path, idp, 'algorithms = ["RS256"]') as service:
        good = idp.token("chat")
        header, payload, signature = good.split(".")
        of_others = idp.token("chat").split(".")[2]

        assert await rejected(service, idp.token("chat", RS256_ELSEWHERE)) == "token for another audience"
        assert await rejected(service, idp.token("chat", ES256)) == "token of another algorithm"
        assert await rejected(service, idp.token("openid")) == "token without scopes"
        assert await rejected(service, f"{header}.{payload}.{of_others}") == "token with a wrong signature"
        assert await rejected(service, f"{header}.{payload}.") == "malformed token"
        assert await rejected(service, "opaque") == "neither an access key nor a JWT"
        assert await rejected(service, rsa_key().sign(claims(idp.issuer))) == "token of an unknown key"
        assert await rejected(service, rsa_key().sign(claims("https://other.example"))) == "token of an unknown issuer"
        await call(service, f"{header}.{payload}.{signature}")


async def test_a_token_of_another_time_is_refused(idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with trusting_jwts(tmp_path, idp) as service:
        token = idp.token("chat")
        await call(service, token)
        now_s = time.time()
        monkeypatch.setattr("service.interceptors.auth.time", StoppedClock(now_s + 3600 + 31))

        assert await rejected(service, token) == "expired token"
        monkeypatch.setattr("service.interceptors.auth.time", StoppedClock(now_s - 3600))
        assert await rejected(service, idp.token("chat")) == "token not valid yet"


async def test_operators_are_whom_the_config_makes_them(idp: Idp, tmp_path: Path) -> None:
    mapping = 'scopes = { "cohort:admin" = ["admin"], "chat" = ["chat"] }'
    async with trusting_jwts(tmp_path, idp, mapping) as service:
        metadata = bearer(idp.token("cohort:admin"))

        listed = await service.admin.ListAuditRecords(ListAuditRecordsRequest(), metadata=metadata)
        chatting = await refused(service.stub.Chat(chat(), metadata=metadata))

    # Nobody called: only what came about of itself is told.
    assert {record.kind for record in listed.records} <= {AUDIT_RECORD_KIND_NOTICE}
    assert chatting.reason == "SCOPE_MISSING"


async def test_new_signing_keys_are_taken_with_the_first_token_that_names_one(own_idp: Idp, tmp_path: Path) -> None:
    async with trusting_jwts(tmp_path, own_idp) as service:
        first, unused = own_idp.token("chat"), own_idp.token("chat embed")
        await call(service, first)
        fetches = own_idp.requests("/jwks")
        own_idp.rotate()
        new = own_idp.token("chat")
        await asyncio.gather(*(call(service, new) for _ in range(10)))

        assert own_idp.requests("/jwks") == fetches + 1
        refusal = await refused(service.stub.Chat(chat(), metadata=bearer(unused)))  # of a key that is gone
        assert refusal.reason in {"CREDENTIAL_REJECTED", "CREDENTIAL_UNVERIFIABLE"}


async def test_known_keys_go_on_when_the_provider_stops_and_unknown_ones_fail(own_idp: Idp, tmp_path: Path) -> None:
    async with trusting_jwts(tmp_path, own_idp) as service:
        await call(service, own_idp.token("chat"))
        later = [own_idp.token("chat"), own_idp.token("chat embed", ES256)]
        own_idp.stop()

        for token in later:
            await call(service, token)
        refusal = await undecided(service, rsa_key("unknown").sign(claims(own_idp.issuer)))

    assert refusal.retry_s


async def test_a_thousand_unknown_keys_at_once_are_one_fetch(idp: Idp, tmp_path: Path) -> None:
    async with trusting_jwts(tmp_path, idp) as service:
        await call(service, idp.token("chat"))
        fetches = idp.requests("/jwks")
        key = rsa_key()
        tokens = [key.sign(claims(idp.issuer), kid=f"bogus-{number}") for number in range(1000)]
        refusals = await asyncio.gather(*(refused(service.stub.Chat(chat(), metadata=bearer(one))) for one in tokens))
        spent = idp.requests("/jwks") - fetches

        later = await undecided(service, key.sign(claims(idp.issuer), kid="later"))
        assert later.retry_s is not None
        assert ISSUER_WAIT_S < later.retry_s <= COOLDOWN_S
        await call(service, idp.token("chat embed"))
    codes = Counter(refusal.code.name for refusal in refusals)
    print(f"1000 unknown keys: {spent} fetch of the key set, {dict(codes)}")

    assert spent == 1
    assert codes.keys() <= {"UNAUTHENTICATED", "UNAVAILABLE"}


async def test_an_issuer_whose_config_did_not_change_keeps_its_keys_over_a_reload(idp: Idp, tmp_path: Path) -> None:
    async with trusting_jwts(tmp_path, idp) as service:
        await call(service, idp.token("chat"))
        fetches = idp.requests("/jwks")
        rewrite(service, "daily_budget_usd = 1000", "daily_budget_usd = 999")
        await call(service, idp.token("chat"))
        assert idp.requests("/jwks") == fetches

        rewrite(service, "private_addresses = true", 'private_addresses = true\naudience = "elsewhere"')
        await call(service, idp.token("chat", RS256_ELSEWHERE))
        assert idp.requests("/jwks") == fetches + 1


async def test_tokens_of_an_issuer_that_is_trusted_no_more_are_refused_at_once(idp: Idp, tmp_path: Path) -> None:
    async with trusting_jwts(tmp_path, idp) as service:
        token = idp.token("chat")
        await call(service, token)
        rewrite(service, jwt_lines(idp.issuer), "")

        assert await rejected(service, token) == "token of an unknown issuer"


async def test_who_acts_for_a_caller_stands_in_the_records_and_in_the_line(tmp_path: Path) -> None:
    if lacking := missing():
        pytest.skip(lacking)
    with running(Options(act={"sub": "agent", "act": {"sub": "planner"}})) as idp:
        async with trusting_jwts(tmp_path, idp) as service:
            token = idp.token("chat")
            await call(service, token)
            await refused(service.stub.Embed(embed(), metadata=bearer(token)))
            await service.stub.Chat(chat(), metadata=service.credentials)
            bodies = [body for body in await records(service) if "rpc" in body]
            lines = service.lines()[:3]

    assert {(body["method"], tuple(body.get("actors", ()))) for body in bodies} == {
        ("oauth2", ("agent", "planner")),
        ("access_key", ()),
    }
    assert [line.get("actors") for line in lines] == [["agent", "planner"], ["agent", "planner"], None]

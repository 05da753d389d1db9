"""A real identity provider and a whole service: its tokens of every form, its keys, and what happens when it stops."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from service.config import ConfigError
from service.identity.issuers import introspection
from service.identity.issuers.key_cache import COOLDOWN_S
from service.identity.issuers.shares import origin_of
from service.identity.refusals import ISSUER_WAIT_S
from service.identity.token_cache import KEPT_MAX_S
from tests.e2e.cohort_service import Cohort
from tests.e2e.requests import chat, embed, refused
from tests.identity.issuers.signing import claims, rsa_key
from tests.identity.issuers.trusting import (
    bearer,
    both_lines,
    call,
    jwt_lines,
    opaque_lines,
    problem,
    records,
    rejected,
    trusting,
    trusting_jwts,
    trusting_opaque,
    undecided,
)
from tests.idp.idp import (
    ES256,
    OPAQUE,
    OPAQUE_ELSEWHERE,
    RS256,
    RS256_ELSEWHERE,
    Idp,
    Options,
    missing,
    running,
)

INTROSPECTION = "/token/introspection"


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


async def test_an_opaque_token_is_asked_for_once_a_minute(idp: Idp, tmp_path: Path) -> None:
    before = idp.requests(INTROSPECTION)
    async with trusting_opaque(tmp_path, idp) as service:
        token = idp.token("chat", OPAQUE)
        await call(service, token)
        await asyncio.gather(*(call(service, token) for _ in range(20)))
        line = service.lines()[0]

    assert idp.requests(INTROSPECTION) == before + 1
    assert (line["principal"], line["method"], line["credential_id"]) == ("indexer", "oauth2", "opaque:indexer")


async def test_what_opaque_tokens_are_bounded_by_is_where_a_call_came_from(
    idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []

    def told(address: str) -> str:
        addresses.append(address)
        return origin_of(address)

    monkeypatch.setattr(introspection, "origin_of", told)
    async with trusting_opaque(tmp_path, idp) as service:
        await call(service, idp.token("chat", OPAQUE))

    assert [address.rpartition(":")[0] for address in addresses] == ["ipv4:127.0.0.1"]


async def test_a_token_that_was_taken_back_or_never_given_is_refused(idp: Idp, tmp_path: Path) -> None:
    async with trusting_opaque(tmp_path, idp) as service:
        assert await rejected(service, "made-up") == "token that is not active"
        assert await rejected(service, idp.token("chat", OPAQUE_ELSEWHERE)) == "token for another audience"
        assert await rejected(service, idp.token("openid", OPAQUE)) == "token without scopes"
        assert await rejected(service, idp.token("chat", RS256)) == "token of an unknown issuer"


async def test_an_opaque_token_that_was_taken_back_is_refused_a_minute_later(
    idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusting_opaque(tmp_path, idp) as service:
        token = idp.token("chat", OPAQUE)
        await call(service, token)
        idp.revoke(token)
        monkeypatch.setattr("service.interceptors.auth.time", _Clock(time.time() + KEPT_MAX_S))

        assert await rejected(service, token) == "token that is not active"


async def test_an_opaque_token_is_refused_when_it_ends_whatever_is_said_of_it(
    idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusting_opaque(tmp_path, idp) as service:
        token = idp.token("chat", OPAQUE)
        await call(service, token)
        monkeypatch.setattr("service.interceptors.auth.time", _Clock(time.time() + 3600 + 31))

        assert await rejected(service, token) == "expired token"


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
        monkeypatch.setattr("service.interceptors.auth.time", _Clock(now_s + 3600 + 31))

        assert await rejected(service, token) == "expired token"
        monkeypatch.setattr("service.interceptors.auth.time", _Clock(now_s - 3600))
        assert await rejected(service, idp.token("chat")) == "token not valid yet"


class _Clock:
    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def time(self) -> float:
        return self._now_s


async def test_one_issuer_may_issue_tokens_of_both_kinds(idp: Idp, tmp_path: Path) -> None:
    async with trusting(tmp_path, both_lines(idp.issuer)) as service:
        asked, fetched = idp.requests(INTROSPECTION), idp.requests("/jwks")
        jwt, opaque = idp.token("chat", RS256), idp.token("chat", OPAQUE)
        for _ in range(2):
            await call(service, jwt)
        assert idp.requests(INTROSPECTION) == asked
        for _ in range(2):
            await call(service, opaque)
        assert idp.requests(INTROSPECTION) == asked + 1
        assert await rejected(service, "made-up") == "token that is not active"
        assert await rejected(service, rsa_key().sign(claims(idp.issuer))) == "token of an unknown key"
        assert idp.requests("/jwks") <= fetched + 2

        rewrite(service, 'tokens = "both"', 'tokens = "opaque"')
        assert await rejected(service, jwt) == "token of an unknown issuer"
        await call(service, opaque)


async def test_operators_are_whom_the_config_makes_them(idp: Idp, tmp_path: Path) -> None:
    mapping = 'scopes = { "cohort:admin" = ["admin"], "chat" = ["chat"] }'
    async with trusting_jwts(tmp_path, idp, mapping) as service:
        metadata = bearer(idp.token("cohort:admin"))

        listed = await service.admin.ListAuditRecords(ListAuditRecordsRequest(), metadata=metadata)
        chatting = await refused(service.stub.Chat(chat(), metadata=metadata))

    assert not listed.records
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


async def test_opaque_tokens_fail_when_the_provider_stops_but_for_those_asked_for_just_now(
    own_idp: Idp, tmp_path: Path
) -> None:
    async with trusting_opaque(tmp_path, own_idp) as service:
        known, unknown = own_idp.token("chat", OPAQUE), own_idp.token("chat", OPAQUE)
        await call(service, known)
        own_idp.stop()

        await call(service, known)
        refusal = await undecided(service, unknown)
        assert refusal.retry_s
        assert problem(service) == "opaque cannot be asked: no connection: ClientConnectorError"


async def test_a_provider_that_comes_up_later_than_the_service_is_believed_then(idp: Idp, tmp_path: Path) -> None:
    wrong = opaque_lines(idp.issuer, f"{idp.issuer}{INTROSPECTION}").replace(idp.issuer, "http://127.0.0.1:1")
    async with trusting(tmp_path, wrong) as service:
        token = idp.token("chat", OPAQUE)
        await undecided(service, token)
        rewrite(service, "http://127.0.0.1:1", idp.issuer)

        await call(service, token)


def rewrite(service: Cohort, before: str, after: str) -> None:
    """Changes the config and takes it into force."""
    text = service.config_file.read_text()
    assert before in text
    service.config_file.write_text(text.replace(before, after))
    assert service.service.reloader.reload()


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


async def test_a_secret_that_cannot_be_read_keeps_the_service_from_starting(tmp_path: Path) -> None:
    lines = opaque_lines("https://id.example", "https://id.example/introspect").replace("client.secret", "no.secret")

    with pytest.raises(ConfigError, match=r"identity\.issuers\.opaque\.client_secret: file:.*no\.secret"):
        async with trusting(tmp_path, lines):
            raise AssertionError("it started")


async def test_a_changed_secret_is_taken_like_a_changed_config(idp: Idp, tmp_path: Path) -> None:
    async with trusting_opaque(tmp_path, idp) as service:
        secret = tmp_path / "client.secret"
        assert secret in service.service.reloader.config_files()
        token, another = idp.token("chat", OPAQUE), idp.token("chat", OPAQUE)
        await call(service, token)
        right = secret.read_text()
        secret.write_text("wrong")
        assert service.service.reloader.reload()
        await undecided(service, another)
        secret.write_text(right)
        assert service.service.reloader.reload()

        await call(service, another)
        assert right not in service.log.getvalue().decode()


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

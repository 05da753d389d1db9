"""A real identity provider and a whole service: its opaque tokens, its answers, and what happens when it stops."""

import asyncio
import time
from pathlib import Path

import pytest

from service.config import ConfigError
from service.identity.issuers import introspection
from service.identity.issuers.shares import origin_of
from service.identity.token_cache import KEPT_MAX_S
from tests.identity.issuers.signing import claims, rsa_key
from tests.identity.issuers.trusting import (
    StoppedClock,
    both_lines,
    call,
    opaque_lines,
    problem,
    rejected,
    rewrite,
    trusting,
    trusting_opaque,
    undecided,
)
from tests.idp.idp import OPAQUE, OPAQUE_ELSEWHERE, RS256, Idp

INTROSPECTION = "/token/introspection"


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
        monkeypatch.setattr("service.interceptors.auth.time", StoppedClock(time.time() + KEPT_MAX_S))

        assert await rejected(service, token) == "token that is not active"


async def test_an_opaque_token_is_refused_when_it_ends_whatever_is_said_of_it(
    idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusting_opaque(tmp_path, idp) as service:
        token = idp.token("chat", OPAQUE)
        await call(service, token)
        monkeypatch.setattr("service.interceptors.auth.time", StoppedClock(time.time() + 3600 + 31))

        assert await rejected(service, token) == "expired token"


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

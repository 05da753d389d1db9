"""Opaque tokens: a real server is asked for them, answers, and is counted."""

import asyncio
import base64
from typing import Any
from urllib.parse import unquote_plus

import pytest
from aiohttp import web

from service.identity.issuers import introspection
from service.identity.issuers.discovery import KEPT_S
from service.identity.issuers.introspection import REFUSED_KEPT_S, REFUSED_MAX, Introspection
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.identity.token_cache import KEPT_MAX_S
from service.identity.tokens import SKEW_S
from tests.identity.issuers.asking import CLIENT_ID, CLIENT_SECRET, HERE, NOW_S, active, verify, why_not
from tests.identity.issuers.fake_issuer import INTROSPECTION, OIDC, Clock, FakeIssuer


async def test_a_token_is_what_its_issuer_says_of_it(asked: Introspection) -> None:
    verified = await verify(asked)

    assert verified.principal.team == "search"
    assert verified.principal.name == "ada"
    assert verified.principal.scopes == {"chat", "embed"}
    assert verified.principal.credential_id == "sso:ada"
    assert verified.expires_at_s == NOW_S + 3600


async def test_the_issuer_is_asked_as_rfc_7662_has_it(asked: Introspection, issuer: FakeIssuer) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        form = dict(await request.post())
        seen.extend((request.method, form, request.headers["Authorization"], request.query_string))
        return web.json_response(active(issuer))

    issuer.documents[INTROSPECTION] = answer
    await verify(asked, "opaque/token+with=all&of~it")

    method, form, authorization, query = seen
    assert (method, query) == ("POST", "")
    assert form == {"token": "opaque/token+with=all&of~it", "token_type_hint": "access_token"}
    user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    assert (unquote_plus(user), unquote_plus(password)) == (CLIENT_ID, CLIENT_SECRET)
    assert authorization.removeprefix("Basic ") == base64.b64encode(b"cohort+server:s%2Bcr%3At+100%25%26").decode()


@pytest.mark.parametrize("said", [False, None, 1, "true", "True", [True], {}])
async def test_only_the_json_true_is_active(asked: Introspection, issuer: FakeIssuer, said: Any) -> None:
    issuer.documents[INTROSPECTION] = {**active(issuer), "active": said}

    assert await why_not(asked) == "token that is not active"


WRONG: dict[str, dict[str, Any]] = {
    "of another issuer": {"iss": "https://other.example"},
    "for another audience": {"aud": "elsewhere"},
    "for other audiences": {"aud": ["elsewhere", "cohort2"]},
    "for too many audiences": {"aud": ["cohort", "b", "c", "d", "e", "f"]},
    "for no audience": {"aud": None},
    "for an audience in an object": {"aud": {"cohort": True}},
    "used as a refresh token": {"token_use": "refresh_token"},
    "of the type of a refresh token": {"token_type": "refresh_token"},
    "of a type that is no text": {"token_type": ["Bearer"]},
    "expired": {"exp": NOW_S - SKEW_S},
    "with an end that is text": {"exp": "1900000000"},
    "with an end that is true": {"exp": True},
    "issued in the future": {"iat": NOW_S + SKEW_S + 1},
    "not valid yet": {"nbf": NOW_S + SKEW_S + 1},
    "of nobody": {"sub": None, "client_id": None},
    "of a subject that is no text": {"sub": 7},
    "of an empty subject": {"sub": ""},
    "of no team": {"team": None},
    "without a scope": {"scope": None},
    "without a known scope": {"scope": "openid"},
    "bound to a key": {"cnf": {"jkt": "x"}},
    "of four actors": {"act": {"sub": "1", "act": {"sub": "2", "act": {"sub": "3", "act": {"sub": "4"}}}}},
}


@pytest.mark.parametrize("said", [{"token_type": "Bearer"}, {"token_use": "access_token", "token_type": "bearer"}])
async def test_an_access_token_may_be_called_one(
    asked: Introspection, issuer: FakeIssuer, said: dict[str, Any]
) -> None:
    issuer.documents[INTROSPECTION] = {**active(issuer), **said}

    assert (await verify(asked)).principal.team == "search"


@pytest.mark.parametrize("changed", WRONG.values(), ids=list(WRONG))
async def test_an_active_token_with_one_thing_wrong_is_refused(
    asked: Introspection, issuer: FakeIssuer, changed: dict[str, Any]
) -> None:
    issuer.documents[INTROSPECTION] = active(issuer, **changed)

    assert await why_not(asked)


async def test_what_an_answer_may_leave_out(asked: Introspection, issuer: FakeIssuer) -> None:
    issuer.documents[INTROSPECTION] = active(issuer, iss=None, exp=None, iat=None, sub=None, client_id="indexer")

    verified = await verify(asked)

    assert verified.principal.name == "indexer"
    assert verified.expires_at_s == NOW_S + KEPT_MAX_S


async def test_a_token_bound_to_a_certificate_says_to_which(asked: Introspection, issuer: FakeIssuer) -> None:
    issuer.documents[INTROSPECTION] = active(issuer, cnf={"x5t#S256": "A" * 43})

    assert (await verify(asked)).certificate_hash == "A" * 43


async def test_a_token_that_gives_no_access_is_not_asked_for_at_every_call(
    asked: Introspection, issuer: FakeIssuer, clock: Clock
) -> None:
    issuer.documents[INTROSPECTION] = {"active": False}
    for _ in range(100):
        await why_not(asked)
    assert issuer.asked[INTROSPECTION] == 1
    clock.now_s += REFUSED_KEPT_S
    await why_not(asked)

    assert issuer.asked[INTROSPECTION] == 2


async def test_as_many_refusals_are_remembered_as_there_is_room_for(
    asked: Introspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REFUSED_MAX == 1000
    monkeypatch.setattr(introspection, "REFUSED_MAX", 10)
    refused = CredentialRefused("token that is not active")
    for number in range(25):
        asked._remember_refused(f"{number}".encode(), refused)

    assert list(asked._refused) == [f"{number}".encode() for number in range(15, 25)]


async def test_a_thousand_calls_with_one_token_at_once_are_one_question(
    asked: Introspection, issuer: FakeIssuer
) -> None:
    issuer.open.clear()
    calls = [asyncio.create_task(verify(asked)) for _ in range(1000)]
    while not issuer.asked:
        await asyncio.sleep(0.001)
    issuer.open.set()

    assert {verified.principal.name for verified in await asyncio.gather(*calls)} == {"ada"}
    assert issuer.asked[INTROSPECTION] == 1


async def test_where_tokens_are_asked_for_is_looked_up_once_for_all(asked: Introspection, issuer: FakeIssuer) -> None:
    await asyncio.gather(*(verify(asked, f"token-{number}") for number in range(90)))

    assert issuer.asked[OIDC] == 1
    assert issuer.asked[INTROSPECTION] == 90


async def test_tokens_are_asked_for_while_the_metadata_of_their_issuer_hangs(
    asked: Introspection, issuer: FakeIssuer, clock: Clock
) -> None:
    hanging = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await hanging.wait()
        return web.json_response(issuer.metadata())

    await verify(asked)
    clock.now_s += KEPT_S
    issuer.documents[OIDC] = hang
    for number in range(3):
        assert (await verify(asked, f"token-{number}")).principal.team == "search"
    while issuer.asked[OIDC] != 2:
        await asyncio.sleep(0.001)
    hanging.set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_without_an_answer_there_is_no_access_and_nothing_is_remembered(
    asked: Introspection, issuer: FakeIssuer, status: int
) -> None:
    issuer.status = status
    with pytest.raises(CredentialUndecided, match="sso cannot be asked"):
        await verify(asked)
    issuer.status = 200

    assert (await verify(asked)).principal.name == "ada"


@pytest.mark.parametrize("answer", [[], "active", [{"active": True}]])
async def test_an_answer_that_is_no_object_decides_nothing(
    asked: Introspection, issuer: FakeIssuer, answer: Any
) -> None:
    issuer.documents[INTROSPECTION] = answer

    with pytest.raises(CredentialUndecided):
        await verify(asked)


async def test_nobody_waits_longer_than_the_time_of_one_answer(
    asked: Introspection, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "TIMEOUT_S", 0.1)
    issuer.open.clear()

    with pytest.raises(CredentialUndecided, match="does not answer"):
        await verify(asked)
    await asked.close()


@pytest.mark.parametrize("token", ["opaque\ntoken", "opaque\x00", "öpaque", "x" * 8193])
async def test_what_can_be_no_token_is_not_asked_for(asked: Introspection, issuer: FakeIssuer, token: str) -> None:
    with pytest.raises(CredentialRefused):
        await asked.verify(token, HERE, NOW_S)
    assert not issuer.asked

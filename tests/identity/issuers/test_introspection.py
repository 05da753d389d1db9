"""Opaque tokens: a real server is asked for them, answers, and is counted."""

import asyncio
import base64
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import pytest
from aiohttp import web

from service.config import IssuerConfig
from service.identity.issuers import fetch, introspection
from service.identity.issuers.discovery import KEPT_S, Endpoint
from service.identity.issuers.fetch import Fetcher
from service.identity.issuers.introspection import REFUSED_KEPT_S, REFUSED_MAX, SEEN_MAX, Introspection
from service.identity.issuers.shares import (
    ASKED_OF_ORIGIN_MAX,
    UNDER_WAY_OF_ORIGIN_MAX,
    UNSEEN_ASKED_MAX,
    UNSEEN_UNDER_WAY_MAX,
)
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.identity.token_cache import KEPT_MAX_S
from service.identity.tokens import SKEW_S, Verified
from tests.identity.issuers.fake_issuer import INTROSPECTION, OIDC, Clock, FakeIssuer
from tests.identity.issuers.signing import AUDIENCE, claims

NOW_S = 1_800_000_000.0
HERE, ELSEWHERE = "ipv4:10.0.0.1:40000", "ipv4:10.0.0.2:40000"
CLIENT_ID, CLIENT_SECRET = "cohort server", "s+cr:t 100%&"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not to look like an issuer that hangs."""
    monkeypatch.setattr(fetch, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(introspection, "TIMEOUT_S", 60.0)


@pytest.fixture
def asked(issuer: FakeIssuer, fetcher: Fetcher, clock: Clock) -> Introspection:
    config = IssuerConfig.model_validate(
        {
            "issuer": issuer.url,
            "tokens": "opaque",
            "client_id": CLIENT_ID,
            "client_secret": "env:SECRET",
            "private_addresses": True,
        }
    )
    endpoint = Endpoint(fetcher, issuer.url, "introspection_endpoint", None, clock)
    issuer.documents |= {"/.well-known/openid-configuration": issuer.metadata(), INTROSPECTION: active(issuer)}
    return Introspection("sso", config, AUDIENCE, CLIENT_SECRET, fetcher, endpoint, clock)


def active(issuer: FakeIssuer, **changed: Any) -> dict[str, Any]:
    return {"active": True, **claims(issuer.url, NOW_S, **changed)}


async def verify(asked: Introspection, token: str = "opaque-token", address: str = HERE) -> Verified:
    return await asked.verify(token, address, NOW_S)


async def why_not(asked: Introspection, token: str = "opaque-token") -> str:
    with pytest.raises(CredentialRefused) as refused:
        await verify(asked, token)
    return refused.value.why


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


async def test_a_flood_of_tokens_is_no_flood_at_the_issuer(asked: Introspection, issuer: FakeIssuer) -> None:
    at_once = most = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.json_response({"active": False})

    issuer.documents[INTROSPECTION] = answer
    calls = [asyncio.create_task(verify(asked, f"made-up-{number}")) for number in range(1000)]
    ends = [type(end) for end in await asyncio.gather(*calls, return_exceptions=True)]

    assert set(ends) == {CredentialRefused, CredentialUndecided}
    assert ends.count(CredentialRefused) == UNDER_WAY_OF_ORIGIN_MAX
    assert most == ASKED_OF_ORIGIN_MAX


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


class Flood:
    """Calls with made-up tokens, for which the issuer does not answer until it is told to; of others it knows."""

    def __init__(self, asked: Introspection, issuer: FakeIssuer) -> None:
        self._asked = asked
        self._issuer = issuer
        self._calls: list[asyncio.Task[Verified]] = []
        self.answering = asyncio.Event()
        issuer.documents[INTROSPECTION] = self._answer

    async def begin(self, addresses: list[str], at_the_issuer: int) -> None:
        """Begins a thousand calls from each address, and returns when so many are at the issuer."""
        before = self._issuer.asked[INTROSPECTION]
        for address in addresses:
            self._calls += [
                asyncio.create_task(verify(self._asked, f"made-up {address} {number}", address))
                for number in range(1000)
            ]
        while self._issuer.asked[INTROSPECTION] < before + at_the_issuer:
            await asyncio.sleep(0.001)

    async def ended(self) -> list[type]:
        """How the calls have ended, now that the issuer answers."""
        self.answering.set()
        return [type(end) for end in await asyncio.gather(*self._calls, return_exceptions=True)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if str((await request.post())["token"]).startswith("made-up"):
            await self.answering.wait()
            return web.json_response({"active": False})
        return web.json_response(active(self._issuer))


async def test_made_up_tokens_of_one_address_keep_out_nobody_elses(asked: Introspection, issuer: FakeIssuer) -> None:
    flood = Flood(asked, issuer)
    await flood.begin([HERE], ASKED_OF_ORIGIN_MAX)

    for number in range(10):
        assert (await verify(asked, f"token-{number}", ELSEWHERE)).principal.name == "ada"
    with pytest.raises(CredentialUndecided, match="too many tokens"):
        await verify(asked, "token", "ipv4:10.0.0.1:50000")  # another connection is no other caller
    ends = await flood.ended()
    assert (await verify(asked, "token")).principal.name == "ada"
    assert ends.count(CredentialRefused) == UNDER_WAY_OF_ORIGIN_MAX
    assert ends.count(CredentialUndecided) == 1000 - UNDER_WAY_OF_ORIGIN_MAX


async def test_made_up_tokens_of_everywhere_keep_out_none_that_was_active_before(
    asked: Introspection, issuer: FakeIssuer
) -> None:
    flood = Flood(asked, issuer)
    for number in range(10):
        await verify(asked, f"seen-{number}")
    await flood.begin([f"ipv4:10.0.1.{number}:1" for number in range(10)] + [HERE], UNSEEN_ASKED_MAX)

    for number in range(10):
        assert (await verify(asked, f"seen-{number}")).principal.name == "ada"
    with pytest.raises(CredentialUndecided, match="too many tokens"):
        await verify(asked, "not-seen", ELSEWHERE)
    assert (await flood.ended()).count(CredentialRefused) == UNSEEN_UNDER_WAY_MAX


async def test_a_token_that_is_active_no_more_has_no_share_kept_for_it(
    asked: Introspection, issuer: FakeIssuer, clock: Clock
) -> None:
    await verify(asked)
    issuer.documents[INTROSPECTION] = {"active": False}
    await why_not(asked)
    clock.now_s += REFUSED_KEPT_S
    flood = Flood(asked, issuer)
    await flood.begin([HERE], ASKED_OF_ORIGIN_MAX)

    with pytest.raises(CredentialUndecided, match="too many tokens"):
        await verify(asked)
    await flood.ended()


async def test_as_many_active_tokens_are_remembered_as_there_is_room_for(
    asked: Introspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SEEN_MAX == 10_000
    monkeypatch.setattr(introspection, "SEEN_MAX", 10)
    for number in range(25):
        await verify(asked, f"token-{number % 15}")

    assert list(asked._seen) == [sha256(f"token-{number}".encode()).digest() for number in range(10)]


async def test_who_waits_in_vain_for_a_turn_gives_back_what_it_had(
    asked: Introspection, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "TIMEOUT_S", 0.1)
    issuer.open.clear()
    calls = [asyncio.create_task(verify(asked, f"token-{number}")) for number in range(UNDER_WAY_OF_ORIGIN_MAX)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(end) for end in ends} == {"sso does not answer"}

    monkeypatch.setattr(introspection, "TIMEOUT_S", 60.0)
    issuer.open.set()
    await asyncio.gather(*(verify(asked, f"again-{number}") for number in range(UNDER_WAY_OF_ORIGIN_MAX)))

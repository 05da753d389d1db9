"""Floods of opaque tokens: what they do not do to the issuer, and not to those who have good ones."""

import asyncio
from hashlib import sha256

import pytest
from aiohttp import web

from service.identity.issuers import introspection
from service.identity.issuers.introspection import REFUSED_KEPT_S, SEEN_MAX, Introspection
from service.identity.issuers.shares import (
    ASKED_OF_ORIGIN_MAX,
    UNDER_WAY_OF_ORIGIN_MAX,
    UNSEEN_ASKED_MAX,
    UNSEEN_UNDER_WAY_MAX,
)
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.identity.tokens import Verified
from tests.identity.issuers.asking import ELSEWHERE, HERE, active, verify, why_not
from tests.identity.issuers.fake_issuer import INTROSPECTION, Clock, FakeIssuer


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

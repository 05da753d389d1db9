"""When an issuer is asked for its keys: a real server counts, and time passes when a test says so."""

import asyncio

import pytest
from aiohttp import web

from service.identity.issuers import key_cache
from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import Fetcher
from service.identity.issuers.key_cache import (
    COLD_COOLDOWN_S,
    COOLDOWN_S,
    REFRESH_S,
    STALE_MAX_S,
    UNKNOWN_KEPT_S,
    UNKNOWN_MAX,
    KeyCache,
)
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.public_keys import fits
from tests.identity.issuers.fake_issuer import JWKS, OIDC, Clock, FakeIssuer
from tests.identity.issuers.signing import ec_key, rsa_key


@pytest.fixture
def keys(fetcher: Fetcher, issuer: FakeIssuer, clock: Clock) -> KeyCache:
    endpoint = Endpoint(fetcher, issuer.url, "jwks_uri", f"{issuer.url}{JWKS}", clock)
    return KeyCache("sso", fetcher, endpoint, ("RS256", "ES256"), clock)


async def known(keys: KeyCache, kid: str | None, algorithm: str = "RS256") -> bool:
    """Whether there is a key that fits; raises otherwise."""
    return fits(await keys.key(algorithm, kid), algorithm)


async def refused(keys: KeyCache, kid: str | None, algorithm: str = "RS256") -> bool:
    """Whether a key is refused for certain; otherwise it is not decided."""
    with pytest.raises((CredentialRefused, CredentialUndecided)) as raised:
        await keys.key(algorithm, kid)
    return raised.type is CredentialRefused


async def test_keys_are_where_the_url_says_with_its_query(fetcher: Fetcher, issuer: FakeIssuer, clock: Clock) -> None:
    queries: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        queries.append(request.rel_url.raw_query_string)
        return web.json_response({"keys": [key.jwk for key in issuer.keys]})

    issuer.documents[JWKS] = answer
    issuer.documents[OIDC] = issuer.metadata(jwks_uri=f"{issuer.url}{JWKS}?p=B2C_1A_found&q=%C3%A4")
    for configured in (f"{issuer.url}{JWKS}?p=B2C_1A_configured&q=%C3%A4", None):
        endpoint = Endpoint(fetcher, issuer.url, "jwks_uri", configured, clock)
        assert await known(KeyCache("sso", fetcher, endpoint, ("RS256",), clock), "rsa-1")

    assert queries == ["p=B2C_1A_configured&q=%C3%A4", "p=B2C_1A_found&q=%C3%A4"]


async def test_known_keys_ask_nothing(keys: KeyCache, issuer: FakeIssuer) -> None:
    for _ in range(100):
        assert await known(keys, "rsa-1")
        assert await known(keys, "ec-1", "ES256")
        assert await known(keys, None)

    assert issuer.asked[JWKS] == 1


@pytest.mark.parametrize("algorithm", ["ES256", "HS256", "none"])
async def test_a_key_is_found_under_its_own_algorithm_alone(keys: KeyCache, algorithm: str) -> None:
    assert await refused(keys, "rsa-1", algorithm)


async def test_a_thousand_unknown_keys_at_once_are_one_fetch(keys: KeyCache, issuer: FakeIssuer) -> None:
    assert await keys.refresh()
    issuer.open.clear()
    asking = [asyncio.create_task(refused(keys, f"bogus-{number}")) for number in range(1000)]
    while issuer.asked[JWKS] != 2:
        await asyncio.sleep(0.001)
    assert await known(keys, "rsa-1")  # whose key is known does not wait for them
    issuer.open.set()

    assert all(await asyncio.gather(*asking))
    assert issuer.asked[JWKS] == 2


async def test_a_thousand_unknown_keys_at_a_cold_start_are_one_fetch(keys: KeyCache, issuer: FakeIssuer) -> None:
    assert all(await asyncio.gather(*(refused(keys, f"bogus-{number}") for number in range(1000))))
    assert issuer.asked[JWKS] == 1


async def test_a_call_between_the_end_of_a_fetch_and_those_that_wait_for_it_knows_what_they_will(
    keys: KeyCache, issuer: FakeIssuer
) -> None:
    issuer.open.clear()
    waiting = asyncio.create_task(refused(keys, "bogus"))
    while not issuer.asked[JWKS]:
        await asyncio.sleep(0.001)
    raised: list[type[Exception]] = []

    def comes_between(_: object) -> None:
        try:
            keys.key("RS256", "bogus").send(None)
        except (CredentialRefused, CredentialUndecided) as error:
            raised.append(type(error))

    (fetch,) = keys._fetching._tasks.values()
    fetch.add_done_callback(comes_between)  # behind the one that ends the flight
    issuer.open.set()

    assert await waiting
    assert raised == [CredentialRefused]


async def test_unknown_keys_ask_once_in_thirty_seconds_at_most(
    keys: KeyCache, issuer: FakeIssuer, clock: Clock
) -> None:
    assert await keys.refresh()
    for second in range(300):
        await refused(keys, f"bogus-{second}")
        clock.now_s += 1

    assert issuer.asked[JWKS] == 1 + 300 / COOLDOWN_S


async def test_a_key_is_refused_once_the_issuer_was_asked_for_it_and_undecided_until_then(
    keys: KeyCache, clock: Clock
) -> None:
    assert await refused(keys, "bogus")
    assert await refused(keys, "bogus")
    assert not await refused(keys, "rotated in just now")
    clock.now_s += COOLDOWN_S

    assert await refused(keys, "rotated in just now")


async def test_who_is_undecided_is_told_when_the_issuer_may_be_asked_again(
    keys: KeyCache, issuer: FakeIssuer, clock: Clock
) -> None:
    assert await refused(keys, "bogus")
    issuer.keys.append(rsa_key("rsa-2"))  # the issuer has begun to sign with another key
    clock.now_s += 12
    with pytest.raises(CredentialUndecided) as undecided:
        await keys.key("RS256", "rsa-2")
    assert undecided.value.retry_after_s == COOLDOWN_S - 12

    clock.now_s += undecided.value.retry_after_s
    assert await known(keys, "rsa-2")


async def test_a_key_that_was_unknown_is_known_as_soon_as_any_fetch_has_brought_it(
    keys: KeyCache, issuer: FakeIssuer
) -> None:
    assert await refused(keys, "rsa-2")
    issuer.keys.append(rsa_key("rsa-2"))
    assert await refused(keys, "rsa-2")
    await keys.refresh()

    assert await known(keys, "rsa-2")


async def test_an_unknown_key_is_not_asked_for_again_within_a_minute(
    keys: KeyCache, issuer: FakeIssuer, clock: Clock
) -> None:
    assert await refused(keys, "bogus")
    clock.now_s += UNKNOWN_KEPT_S - 1
    assert await refused(keys, "bogus")
    assert issuer.asked[JWKS] == 1
    clock.now_s += 1

    assert await refused(keys, "bogus")
    assert issuer.asked[JWKS] == 2


async def test_as_many_unknown_keys_are_remembered_as_there_is_room_for(keys: KeyCache) -> None:
    await asyncio.gather(*(refused(keys, f"bogus-{number}") for number in range(UNKNOWN_MAX + 500)))

    assert len(keys._unknown) == UNKNOWN_MAX
    assert await refused(keys, f"bogus-{UNKNOWN_MAX + 499}")
    assert not await refused(keys, "bogus-0")


async def test_a_key_rotated_in_is_found_when_a_token_names_it(
    keys: KeyCache, issuer: FakeIssuer, clock: Clock
) -> None:
    assert await refused(keys, "rsa-2")
    issuer.keys.append(rsa_key("rsa-2"))
    clock.now_s += UNKNOWN_KEPT_S

    assert await known(keys, "rsa-2")
    assert await known(keys, "rsa-1")


async def test_a_key_rotated_out_is_refused_from_the_next_fetch_on(keys: KeyCache, issuer: FakeIssuer) -> None:
    assert await keys.refresh()
    assert await known(keys, "rsa-1")
    issuer.keys = [ec_key()]
    await keys.refresh()

    assert await refused(keys, "rsa-1")


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_known_keys_are_good_for_a_day_without_an_answer_and_undecided_after_it(
    status: int, keys: KeyCache, issuer: FakeIssuer, clock: Clock
) -> None:
    assert await keys.refresh()
    issuer.status = status
    for _ in range(int(STALE_MAX_S / REFRESH_S)):
        clock.now_s += REFRESH_S
        assert not await keys.refresh()
        assert await known(keys, "rsa-1")
    assert not await refused(keys, "unknown")
    clock.now_s += 1

    assert not await refused(keys, "rsa-1")
    issuer.status = 200
    assert await keys.refresh()
    assert await known(keys, "rsa-1")


@pytest.mark.parametrize("document", [{"keys": "none"}, {}, {"keys": [{}] * 101}])
async def test_an_answer_that_is_no_key_set_changes_nothing(
    document: object, keys: KeyCache, issuer: FakeIssuer
) -> None:
    assert await keys.refresh()
    issuer.documents[JWKS] = document

    assert not await keys.refresh()
    assert await known(keys, "rsa-1")


async def test_a_cold_start_without_an_answer_decides_nothing_and_asks_again_soon(
    keys: KeyCache, issuer: FakeIssuer, clock: Clock
) -> None:
    issuer.status = 503
    for _ in range(10):
        assert not await refused(keys, "rsa-1")
    assert issuer.asked[JWKS] == 1
    clock.now_s += COLD_COOLDOWN_S
    issuer.status = 200

    assert await known(keys, "rsa-1")


async def test_nobody_waits_longer_than_the_time_of_one_answer(
    keys: KeyCache, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "TIMEOUT_S", 0.1)
    issuer.open.clear()

    assert not await refused(keys, "rsa-1")
    issuer.open.set()
    await keys.refresh()  # the fetch goes on, and who comes later has its keys
    assert await known(keys, "rsa-1")
    assert issuer.asked[JWKS] == 1


async def test_one_who_leaves_takes_the_fetch_from_nobody(keys: KeyCache, issuer: FakeIssuer) -> None:
    issuer.open.clear()
    leaving = asyncio.create_task(keys.key("RS256", "rsa-1"))
    staying = asyncio.create_task(keys.key("RS256", "rsa-1"))
    while not issuer.asked[JWKS]:
        await asyncio.sleep(0.001)
    leaving.cancel()
    issuer.open.set()

    assert fits(await staying, "RS256")
    assert leaving.cancelled()


async def test_whoever_waits_when_an_issuer_is_closed_is_not_decided(keys: KeyCache, issuer: FakeIssuer) -> None:
    issuer.open.clear()
    waiting = asyncio.create_task(refused(keys, "rsa-1"))
    while not issuer.asked[JWKS]:
        await asyncio.sleep(0.001)
    await keys.close()

    assert not await waiting


async def test_keys_are_fetched_in_the_background_again_and_again(
    keys: KeyCache, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "REFRESH_S", 0.001)
    monkeypatch.setattr(key_cache, "RETRY_S", 0.001)
    following = asyncio.create_task(keys.follow())
    for status in (200, 503, 200):
        issuer.status, asked = status, issuer.asked[JWKS]
        issuer.keys = [rsa_key(f"after-{asked}")]
        while issuer.asked[JWKS] < asked + 3:  # one may have been under way, the next one is of this turn
            await asyncio.sleep(0.001)

        assert (f"after-{asked}" in keys._keys["RS256"]) == (status == 200)
    following.cancel()

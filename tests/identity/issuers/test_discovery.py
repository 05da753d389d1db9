import asyncio

import pytest

from service.identity.issuers.discovery import KEPT_S, RETRY_S, Endpoint, metadata_urls
from service.identity.issuers.fetch import Fetcher, FetchFailed
from tests.identity.issuers.fake_issuer import OIDC, RFC8414, Clock, FakeIssuer


@pytest.mark.parametrize(
    ("issuer", "oidc", "oauth"),
    [
        (
            "https://id.example",
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://id.example/",
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://id.example:8443/realms/one",
            "https://id.example:8443/realms/one/.well-known/openid-configuration",
            "https://id.example:8443/.well-known/oauth-authorization-server/realms/one",
        ),
    ],
)
def test_metadata_is_looked_for_in_both_places_that_the_standards_name(issuer: str, oidc: str, oauth: str) -> None:
    assert metadata_urls(issuer) == (oidc, oauth)


def endpoint(fetcher: Fetcher, issuer: FakeIssuer, clock: Clock, configured: str | None = None) -> Endpoint:
    return Endpoint(fetcher, issuer.url, "jwks_uri", configured, clock)


@pytest.mark.parametrize("path", [OIDC, RFC8414])
async def test_a_url_stands_in_the_metadata(path: str, fetcher: Fetcher, issuer: FakeIssuer, clock: Clock) -> None:
    issuer.documents[path] = issuer.metadata()

    assert await endpoint(fetcher, issuer, clock).url() == f"{issuer.url}/jwks"


async def test_a_configured_url_needs_no_metadata(fetcher: Fetcher, issuer: FakeIssuer, clock: Clock) -> None:
    assert await endpoint(fetcher, issuer, clock, "https://keys.example/").url() == "https://keys.example/"
    assert not issuer.asked


@pytest.mark.parametrize("said", ["https://other.example", None, ["it"], "{url}/", "{url}X"])
@pytest.mark.parametrize("path", [OIDC, RFC8414])
async def test_metadata_of_another_issuer_is_not_believed(
    said: object, path: str, fetcher: Fetcher, issuer: FakeIssuer, clock: Clock
) -> None:
    issuer.documents[path] = issuer.metadata(issuer=said.format(url=issuer.url) if isinstance(said, str) else said)

    with pytest.raises(FetchFailed, match="another issuer"):
        await endpoint(fetcher, issuer, clock).url()


@pytest.mark.parametrize("said", [None, 7, ["https://keys.example/"]])
async def test_metadata_without_the_url_is_no_answer(
    said: object, fetcher: Fetcher, issuer: FakeIssuer, clock: Clock
) -> None:
    issuer.documents[OIDC] = issuer.metadata(jwks_uri=said)

    with pytest.raises(FetchFailed, match="says no jwks_uri"):
        await endpoint(fetcher, issuer, clock).url()


async def renewed(keys: Endpoint) -> str:
    """What is found when the look at the metadata that is under way, if one is, has ended."""
    if tasks := set(keys._looking._tasks.values()):
        await asyncio.wait(tasks)
    return await keys.url()


async def test_metadata_is_read_again_after_an_hour(fetcher: Fetcher, issuer: FakeIssuer, clock: Clock) -> None:
    keys = endpoint(fetcher, issuer, clock)
    await keys.url()
    clock.now_s += KEPT_S - 1
    assert await renewed(keys) == f"{issuer.url}/jwks"
    assert issuer.asked[OIDC] == 1

    clock.now_s += 1
    issuer.documents[OIDC] = issuer.metadata(jwks_uri="https://keys.example/")
    assert await keys.url() == f"{issuer.url}/jwks"
    assert await renewed(keys) == "https://keys.example/"
    assert issuer.asked[OIDC] == 2


@pytest.mark.parametrize("status", [503, 302])
async def test_metadata_that_cannot_be_read_again_stays_in_use_and_is_asked_for_every_thirty_seconds(
    status: int, fetcher: Fetcher, issuer: FakeIssuer, clock: Clock
) -> None:
    keys = endpoint(fetcher, issuer, clock)
    await keys.url()
    clock.now_s += KEPT_S
    issuer.status = status
    for _ in range(90):
        assert await keys.url() == f"{issuer.url}/jwks"
        assert await renewed(keys) == f"{issuer.url}/jwks"
        clock.now_s += 1
    assert issuer.asked[OIDC] == 1 + 90 / RETRY_S

    issuer.status = 200
    issuer.documents[OIDC] = issuer.metadata(jwks_uri="https://keys.example/")
    await keys.url()
    assert await renewed(keys) == "https://keys.example/"


async def test_nobody_waits_for_metadata_that_is_read_again(fetcher: Fetcher, issuer: FakeIssuer, clock: Clock) -> None:
    keys = endpoint(fetcher, issuer, clock)
    await keys.url()
    clock.now_s += KEPT_S
    issuer.open.clear()  # from now on the issuer hangs

    for _ in range(100):
        async with asyncio.timeout(0):  # not even a turn of the loop
            assert await keys.url() == f"{issuer.url}/jwks"
    while issuer.asked[OIDC] != 2:
        await asyncio.sleep(0.001)
    assert await keys.url() == f"{issuer.url}/jwks"
    assert len(keys._looking) == 1

    await keys.close()
    assert len(keys._looking) == 0


async def test_whoever_waits_for_the_first_metadata_when_an_issuer_is_closed_has_no_url(
    fetcher: Fetcher, issuer: FakeIssuer, clock: Clock
) -> None:
    keys = endpoint(fetcher, issuer, clock)
    issuer.open.clear()
    waiting = asyncio.create_task(keys.url())
    while not issuer.asked[OIDC]:
        await asyncio.sleep(0.001)
    await keys.close()

    with pytest.raises(FetchFailed, match="no longer asked"):
        await waiting


async def test_an_issuer_that_is_not_there_is_asked_once(fetcher: Fetcher, clock: Clock) -> None:
    with pytest.raises(FetchFailed, match="no connection"):
        await Endpoint(fetcher, "http://127.0.0.1:1", "jwks_uri", None, clock).url()


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://169.254.169.254/", "file:///etc/passwd"])
async def test_where_metadata_leads_is_checked_like_any_other_url(
    url: str, fetcher: Fetcher, issuer: FakeIssuer, clock: Clock
) -> None:
    issuer.documents[OIDC] = issuer.metadata(jwks_uri=url)

    with pytest.raises(FetchFailed):
        await fetcher.get(await endpoint(fetcher, issuer, clock).url())

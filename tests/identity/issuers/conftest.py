from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from service.config import IssuerConfig
from service.identity.issuers import fetch, introspection
from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import Fetcher
from service.identity.issuers.introspection import Introspection
from tests.identity.issuers.asking import CLIENT_ID, CLIENT_SECRET, active
from tests.identity.issuers.fake_issuer import INTROSPECTION, Clock, FakeIssuer, fake_issuer, fetching
from tests.identity.issuers.signing import AUDIENCE, ec_key, rsa_key


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """The loop that the service runs on in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    async with fake_issuer(rsa_key(), ec_key()) as running:
        yield running


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """May ask this machine."""
    async with fetching(private_addresses=True) as fetcher:
        yield fetcher


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not to look like an issuer that hangs."""
    monkeypatch.setattr(fetch, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(introspection, "TIMEOUT_S", 60.0)


@pytest.fixture
def asked(patience: None, issuer: FakeIssuer, fetcher: Fetcher, clock: Clock) -> Introspection:
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

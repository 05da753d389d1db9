from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from service.identity.issuers.fetch import Fetcher
from tests.identity.issuers.fake_issuer import Clock, FakeIssuer, fake_issuer, fetching
from tests.identity.issuers.signing import ec_key, rsa_key


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

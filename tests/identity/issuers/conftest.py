from collections.abc import AsyncIterator

import pytest

from service.identity.issuers.fetch import Fetcher
from tests.identity.issuers.fake_issuer import Clock, FakeIssuer, fake_issuer, fetching
from tests.identity.issuers.signing import ec_key, rsa_key


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

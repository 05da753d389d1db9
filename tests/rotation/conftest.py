"""A sandbox, a source and a replica, for tests that have one of each."""

from collections.abc import AsyncIterator

import pytest
from yarl import URL

from clients.sandbox import Sandbox
from service.storage.database import Database
from tests.rotation.scene import (
    Member,
    MemorySource,
    cohere,
    member,
)


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, URL]]:
    async with cohere() as made:
        yield made


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
async def one(database: Database, sandbox: tuple[Sandbox, URL], source: MemorySource) -> AsyncIterator[Member]:
    async with member(database, sandbox[1], source) as made:
        yield made

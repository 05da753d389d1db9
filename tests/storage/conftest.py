from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

import pytest
import uvloop

from service.storage.database import Database
from tests.storage.statements import CREATE_THING, run


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """The loop that the service runs on in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def things(database: Database) -> Database:
    """Each engine in turn, with a table to play with."""
    await run(database, CREATE_THING)
    return database

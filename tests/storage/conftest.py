import pytest

from service.storage.database import Database
from tests.storage.statements import CREATE_THING, run


@pytest.fixture
async def things(database: Database) -> Database:
    """Each engine in turn, with a table to play with."""
    await run(database, CREATE_THING)
    return database

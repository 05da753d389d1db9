"""The database of a config without its service: for the commands that change it before, or beside, a running one.

On SQLite no service may run meanwhile, for the file is one process's.
"""

import contextlib
from collections.abc import AsyncIterator

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.config import ConfigError, LoadedConfig
from service.storage.errors import StorageError
from service.storage.migrate import migrate
from service.storage.opening import open_database

FLUSH_TIMEOUT_S = 10.0


@contextlib.asynccontextmanager
async def books_of(loaded: LoadedConfig) -> AsyncIterator[Books]:
    """Opens the database, brings it to the schema of this version, and gives its books.

    Raises:
        ConfigError: The database cannot be opened.
    """
    try:
        database = await open_database(loaded.database_url(), loaded.database_password())
    except (StorageError, ValueError) as error:
        raise ConfigError([f"books.database: {error}"]) from None
    try:
        try:
            await migrate(database)
            clock = DatabaseClock(await database.now_us())
        except StorageError as error:
            raise ConfigError([f"books.database: {error}"]) from None
        committer = Committer(database, clock, lambda _: None)
        try:
            yield Books(database, committer)
        finally:
            await committer.close(FLUSH_TIMEOUT_S)
    finally:
        await database.close()

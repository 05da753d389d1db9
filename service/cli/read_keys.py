"""Reads every team's Cohere key once, from wherever it lives, for a command that does not serve."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeAlias

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import KeySource, Secret
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.cohere_keys.opening import envelopes_of
from service.cohere_keys.sources import Held, KeySources
from service.config import LoadedConfig
from service.rotation.held_keys import KIND, REFERENCE, HeldKeys
from service.storage.errors import StorageError
from service.storage.opening import open_database

READ_TIMEOUT_S = 10.0

Found: TypeAlias = Secret | SecretMissing | SourceUnavailable


async def read_keys(loaded: LoadedConfig) -> dict[str, Found]:
    """Team → its key, or why there is none to be had.

    Raises:
        ConfigError: A source cannot be made.
    """
    async with _held_of(loaded) as held:
        sources = KeySources(loaded, held)
        try:
            of_teams = sources.of(loaded)
            found = await asyncio.gather(*map(_read, of_teams.values()))
        finally:
            await sources.close()
    return dict(zip(of_teams, found, strict=True))


async def _read(source: KeySource) -> Found:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await source.read()
    except (SecretMissing, SourceUnavailable) as problem:
        return problem
    except TimeoutError:
        return SourceUnavailable(f"{source.reference}: no answer within {READ_TIMEOUT_S:g} s")


@contextlib.asynccontextmanager
async def _held_of(loaded: LoadedConfig) -> AsyncIterator[Held]:
    """Makes the sources of the keys that Cohort holds; without such keys the database is left alone."""
    if all(not team.cohere_key.startswith(REFERENCE) for team in loaded.config.teams.values()):
        yield lambda _: _Elsewhere("no team has such a key")
        return
    path = loaded.database_path()
    if path is not None and not path.exists():
        yield lambda _: _Elsewhere("there is no database yet")
        return
    try:
        database = await open_database(loaded.database_url(), loaded.database_password(), read_only=True)
    except (StorageError, ValueError) as error:
        problem = f"the database: {error}"
        yield lambda _: _Elsewhere(problem)
        return
    try:
        committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
        try:
            yield HeldKeys(Books(database, committer), envelopes_of(loaded)).source
        finally:
            await committer.close(READ_TIMEOUT_S)
    finally:
        await database.close()


class _Elsewhere:
    """A key that Cohort holds where this command cannot look."""

    kind = KIND
    reference = REFERENCE
    path = None

    def __init__(self, problem: str) -> None:
        self._problem = problem

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        raise SourceUnavailable(f"{REFERENCE} {self._problem}")

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        return None

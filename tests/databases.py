"""Databases for tests, as fixtures that every test can name: migrated, empty, and of its own.

`database` is each engine in turn; `sqlite_database` and `postgres_database` are the one; `open_another` opens the same
one once more: `open_replica` on PostgreSQL, `open_beside`, for reading, on SQLite. `clock` moves the clock of all of
them. `postgres_url` is a migrated, empty database for processes that open it themselves, `postgres` the server.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from service.storage.database import Database
from service.storage.migrate import migrate
from service.storage.postgres import PostgresDatabase
from service.storage.sqlite import SqliteDatabase, wall_clock_us
from tests.postgres_server import PostgresServer, postgres_server

Opener: TypeAlias = Callable[[], Awaitable[Database]]

_TEMPLATE = "books"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this test run; it does not sync, so it is no witness of durability."""
    with postgres_server() as server:
        yield server


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """A database with the schema and nothing in it."""
    admin = await asyncpg.connect(postgres.url("postgres"))
    name = f"test_{uuid.uuid4().hex}"
    try:
        if not await admin.fetchval("SELECT COUNT(*) FROM pg_database WHERE datname = $1", _TEMPLATE):
            await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
            first = PostgresDatabase(postgres.url(_TEMPLATE))
            await first.open()
            await migrate(first)
            await first.close()
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        yield postgres.url(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


class Clock:
    """The databases' clock in a test: the real one, moved.

    Attributes:
        shift_us: By how much; a database opened later has it as well.
    """

    def __init__(self) -> None:
        self.shift_us = 0
        self._urls: list[str] = []

    def now_us(self) -> int:
        return wall_clock_us() + self.shift_us

    async def shift(self, by_us: int) -> None:
        """Moves it from where it is, forwards or backwards."""
        self.shift_us += by_us
        for url in self._urls:
            connection = await asyncpg.connect(url)
            await connection.execute(_shifted(self.shift_us))
            await connection.close()

    def governs(self, url: str) -> None:
        self._urls.append(url)


def _shifted(by_us: int) -> str:
    now = f"SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) + CAST({by_us} AS BIGINT)"
    return f"CREATE OR REPLACE FUNCTION clock_us() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE AS '{now}'"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sqlite_database(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db", clock_us=clock.now_us)
    await database.open()
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
async def postgres_database(postgres_url: str, clock: Clock) -> AsyncIterator[PostgresDatabase]:
    clock.governs(postgres_url)
    database = PostgresDatabase(postgres_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each engine in turn."""
    opened: Database = request.getfixturevalue(f"{request.param}_database")
    return opened


@pytest.fixture
async def open_replica(postgres_database: PostgresDatabase, postgres_url: str) -> AsyncIterator[Opener]:
    """Opens the PostgreSQL database of the test once more, as another replica would."""
    async with contextlib.AsyncExitStack() as opened:

        async def replica() -> Database:
            further = PostgresDatabase(postgres_url)
            await further.open()
            opened.push_async_callback(further.close)
            return further

        yield replica


@pytest.fixture
async def open_beside(sqlite_database: SqliteDatabase, tmp_path: Path, clock: Clock) -> AsyncIterator[Opener]:
    """Opens the SQLite file of the test once more, for reading, as an export beside the service would."""
    async with contextlib.AsyncExitStack() as opened:

        async def beside() -> Database:
            further = SqliteDatabase(tmp_path / "books.db", clock_us=clock.now_us, read_only=True)
            await further.open()
            opened.push_async_callback(further.close)
            return further

        yield beside


@pytest.fixture
def open_another(request: pytest.FixtureRequest, database: Database) -> Opener:
    """Opens the database of the test once more: `open_replica` or, on SQLite, which has one process, `open_beside`."""
    opener: Opener = request.getfixturevalue("open_beside" if database.engine == "sqlite" else "open_replica")
    return opener

"""From the URL in the configuration to an open database."""

from pathlib import Path

from service.storage.database import Database
from service.storage.postgres import PostgresDatabase
from service.storage.sqlite import SqliteDatabase


async def open_database(url: str, password: str | None = None, *, read_only: bool = False) -> Database:
    """Opens a database.

    Args:
        url: `sqlite:/absolute/path` or `postgresql://user@host:port/name`.
        password: PostgreSQL's.
        read_only: Refuses transactions that write, and leaves the one process of a SQLite file alone.

    Raises:
        ValueError: The URL names neither.
        DatabaseUnavailable: It cannot be opened, or must not be used as it is set up.
    """
    if url.startswith("sqlite:/"):
        path = Path(url.removeprefix("sqlite:"))
        database: SqliteDatabase | PostgresDatabase = SqliteDatabase(path, read_only=read_only)
    elif url.startswith(("postgresql://", "postgres://")):
        database = PostgresDatabase(url, password, read_only=read_only)
    else:
        raise ValueError("A database is sqlite:/absolute/path or postgresql://user@host:port/name")
    await database.open()
    return database

"""Brings a database to the schema of this version: numbered SQL files, in order, each in a transaction of its own."""

import importlib.resources
import re
from dataclasses import dataclass

from service.storage.database import Database, Transaction
from service.storage.errors import DatabaseUnavailable, StorageError
from service.storage.postgres_sums import WHOLE_SUM

_PREPARE = {
    "sqlite": (),  # one process has the file
    "postgres": (
        # One replica at a time, until the end of the transaction; the number is ours alone.
        "SELECT pg_advisory_xact_lock(4902337)",
        "SET LOCAL statement_timeout = 0",
        """CREATE OR REPLACE FUNCTION clock_us() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE
           AS 'SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)'""",
        WHOLE_SUM,
    ),
}
_CREATE = """CREATE TABLE IF NOT EXISTS schema_version
  (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at_us BIGINT NOT NULL)"""
_VERSION = "SELECT COALESCE(MAX(version), 0) FROM schema_version"
_FOR_SQLITE = re.compile(r"/\* SQLite: (.*?) \*/")
_RECORD = "INSERT INTO schema_version (version, name, applied_at_us) VALUES ($1, $2, clock_us())"
_LOCK_TIMEOUT_S = 60.0
"""How long a replica waits for another one's migration."""


class SchemaTooNew(StorageError):
    """A newer version of Cohort has migrated the database."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number, its name and its statements."""

    version: int
    name: str
    statements: tuple[str, ...]


def migrations() -> tuple[Migration, ...]:
    """The steps that come with this version, in order."""
    folder = importlib.resources.files("service.storage") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), _statements(file.read_text("utf-8")))
        for file in files
    )


async def migrate(database: Database, steps: tuple[Migration, ...] | None = None) -> int:
    """Applies the steps that the database lacks; replicas that start together wait for each other.

    Returns:
        How many were applied.

    Raises:
        SchemaTooNew: It has steps that this version does not know.
        StorageError: It did not take one; the ones before it stay.
    """
    steps = migrations() if steps is None else steps
    newest = max(step.version for step in steps)
    if await _version(database) == newest:  # a role that may not change the schema need not
        return 0
    applied = 0
    for step in steps:

        async def apply(transaction: Transaction, step: Migration = step) -> bool:
            for statement in (*_PREPARE[database.engine], _CREATE):
                await transaction.fetch(statement)
            ((version,),) = await transaction.fetch(_VERSION)
            if version > newest:
                raise SchemaTooNew(f"The database has schema {version}, this version of Cohort knows {newest}")
            if version >= step.version:
                return False
            for statement in (_for_engine(text, database.engine) for text in step.statements):
                await transaction.fetch(statement)
            await transaction.fetch(_RECORD, step.version, step.name)
            return True

        applied += await database.transact(apply, lock_timeout_s=_LOCK_TIMEOUT_S)
    return applied


async def _version(database: Database) -> int:
    try:
        ((version,),) = await database.read(lambda transaction: transaction.fetch(_VERSION))
    except DatabaseUnavailable:
        raise
    except StorageError:  # it has no table of versions yet
        return 0
    return int(version)


def _statements(text: str) -> tuple[str, ...]:
    """The statements of a file: each ends with a semicolon at the end of a line."""
    return tuple(part.strip() for part in re.split(r";[ \t]*$", text, flags=re.MULTILINE) if part.strip())


def _for_engine(statement: str, engine: str) -> str:
    """The statement with what its comments hold for SQLite, which to any other engine are comments."""
    return _FOR_SQLITE.sub(r"\1", statement) if engine == "sqlite" else statement

"""Migrations, on every engine."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.storage.database import Database
from service.storage.errors import StorageError
from service.storage.migrate import Migration, SchemaTooNew, migrate, migrations
from tests.storage.statements import look, run

_VERSIONS = "SELECT version, name FROM schema_version ORDER BY version"
_NEXT = Migration(
    len(migrations()) + 1, "next", ("CREATE TABLE next_one (id BIGINT)", "INSERT INTO next_one VALUES (1)")
)


async def test_the_steps_are_numbered_without_gaps() -> None:
    assert [step.version for step in migrations()] == list(range(1, len(migrations()) + 1))


async def test_a_migrated_database_knows_every_step_and_when_it_came(database: Database) -> None:
    ((applied_at_us,),) = await look(database, "SELECT MAX(applied_at_us) FROM schema_version")

    assert await look(database, _VERSIONS) == [(step.version, step.name) for step in migrations()]
    assert 0 <= await database.now_us() - applied_at_us < 600_000_000


async def test_a_second_time_nothing_is_applied(database: Database) -> None:
    assert await migrate(database) == 0


async def test_a_step_that_came_later_is_applied_once(database: Database) -> None:
    steps = (*migrations(), _NEXT)

    assert await migrate(database, steps) == 1
    assert await migrate(database, steps) == 0
    assert await look(database, "SELECT id FROM next_one") == [(1,)]


async def test_what_a_comment_holds_for_sqlite_is_for_sqlite_alone(database: Database) -> None:
    only = Migration(_NEXT.version, "next", ("CREATE TABLE next_one (id BIGINT /* SQLite: , more BIGINT */)",))

    await migrate(database, (*migrations(), only))

    await look(database, "SELECT id FROM next_one")
    if database.engine == "sqlite":
        await look(database, "SELECT more FROM next_one")
    else:
        with pytest.raises(StorageError):
            await look(database, "SELECT more FROM next_one")


async def test_a_step_that_fails_leaves_nothing_of_itself(database: Database) -> None:
    broken = Migration(_NEXT.version, "broken", (*_NEXT.statements, "SELEKT 1"))

    with pytest.raises(StorageError):
        await migrate(database, (*migrations(), broken))

    assert await migrate(database, (*migrations(), _NEXT)) == 1


async def test_a_newer_schema_is_refused(database: Database) -> None:
    await run(
        database, "INSERT INTO schema_version (version, name, applied_at_us) VALUES ($1, $2, $3)", 99, "future", 0
    )

    with pytest.raises(SchemaTooNew, match="99"):
        await migrate(database)


async def test_replicas_that_start_together_apply_each_step_once(
    postgres_database: Database, open_replica: Callable[[], Awaitable[Database]]
) -> None:
    replicas = [await open_replica() for _ in range(4)]

    applied = await asyncio.gather(*(migrate(replica, (*migrations(), _NEXT)) for replica in replicas))

    assert sorted(applied) == [0, 0, 0, 1]
    assert await look(postgres_database, "SELECT id FROM next_one") == [(1,)]


async def test_an_empty_database_is_migrated_by_replicas_that_start_together(
    postgres_database: Database, open_replica: Callable[[], Awaitable[Database]]
) -> None:
    for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
        await run(postgres_database, statement)
    replicas = [await open_replica() for _ in range(4)]

    applied = await asyncio.gather(*(migrate(replica) for replica in replicas))

    assert sum(applied) == len(migrations())  # each step by whoever came to it first


@pytest.mark.parametrize(
    "table", ["budget", "budget_period", "call_hold", "audit", "checkpoint", "usage_day", "usage_quarter"]
)
async def test_both_engines_have_the_same_columns(
    sqlite_database: Database, postgres_database: Database, table: str
) -> None:
    on_sqlite = await look(sqlite_database, "SELECT name, type FROM pragma_table_info($1) ORDER BY cid", table)
    on_postgres = await look(
        postgres_database,
        """SELECT CAST(column_name AS TEXT), upper(CAST(data_type AS TEXT)) FROM information_schema.columns
           WHERE CAST(table_name AS TEXT) = $1 ORDER BY ordinal_position""",
        table,
    )

    assert on_sqlite == on_postgres

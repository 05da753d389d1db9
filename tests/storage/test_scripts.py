"""What a script promises, on every engine: the same as its statements one by one, in one transaction."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.storage.database import Database, Script, Step, Value
from service.storage.errors import CommitUncertain, Conflict, DatabaseUnavailable, LockTimeout, Unforeseen, ValueRefused
from service.storage.postgres import PostgresDatabase
from service.storage.sqlite import SqliteDatabase
from tests.databases import Opener
from tests.storage.statements import CREATE_THING, INSERT, INSERT_WORDS, ids, look, run

_INSERT_ALL = "INSERT INTO thing (id, words, bytes) VALUES ($1, $2, $3)"
_ADD = "UPDATE thing SET count = count + $1 WHERE id = $2 RETURNING count"
_SUM = "UPDATE thing SET count = (SELECT SUM(count) + $1 FROM thing) WHERE id = $2 RETURNING count"
_CLOCK = "UPDATE thing SET count = clock_us() WHERE id = $1 RETURNING count"
_WORDS = "UPDATE thing SET words = $1, count = count + 1 WHERE id = $2 AND words = $1 AND $2 > 0 RETURNING id"
_SLOWLY = "UPDATE thing SET count = 1 WHERE id = $1 AND pg_sleep(10) IS NOT NULL"


def script(*steps: tuple[str, Sequence[Sequence[Value]]]) -> Script[list[int]]:
    """One that gives what its statements return."""
    return Script([Step(sql, rows) for sql, rows in steps], list)


async def test_a_script_gives_what_its_statements_return_in_their_order(things: Database) -> None:
    asked = script((INSERT, [(1,), (2,)]), (_ADD, [(5, 2), (6, 1)]), (INSERT, [(3,)]), (_ADD, [(7, 2)]))

    assert await things.run(asked) == [5, 6, 12]
    assert await look(things, "SELECT id, count FROM thing ORDER BY id") == [(1, 6), (2, 12), (3, 0)]


async def test_a_script_gives_what_is_made_of_it(things: Database) -> None:
    assert await things.run(Script([Step(INSERT, [(1,)]), Step(_ADD, [(5, 1)])], lambda numbers: f"{numbers}")) == "[5]"


async def test_each_statement_sees_what_the_ones_before_it_did(things: Database) -> None:
    asked = script((INSERT, [(1,), (2,)]), (_ADD, [(5, 1)]), (_SUM, [(1, 2), (1, 1)]))

    assert await things.run(asked) == [5, 6, 12]


async def test_scripts_of_other_statements_follow_each_other(things: Database) -> None:
    await things.run(script((INSERT, [(1,)])))
    await things.run(script((_ADD, [(2, 1)])))
    await things.run(script((INSERT_WORDS, [(2, "two")]), (_WORDS, [("two", 2)]), (_ADD, [(2, 1)])))

    assert await things.run(script((_ADD, [(3, 1), (3, 2)]), (INSERT, [(3,)]))) == [7, 4]
    assert await ids(things) == [1, 2, 3]


async def test_a_statement_without_rows_does_not_run(things: Database) -> None:
    assert await things.run(script((INSERT, [(1,)]), (_ADD, []))) == []
    assert await things.run(script()) == []
    assert await ids(things) == [1]


@pytest.mark.parametrize("rows", [[(5, 9)], [(5, 1), (5, 9)], [(5, 9), (5, 1)]])
async def test_a_statement_that_returns_nothing_undoes_the_script(
    things: Database, rows: list[tuple[int, int]]
) -> None:
    await run(things, INSERT, 1)

    with pytest.raises(Unforeseen):
        await things.run(script((INSERT, [(2,)]), (_ADD, rows), (INSERT, [(3,)])))

    assert await look(things, "SELECT id, count FROM thing") == [(1, 0)]
    assert await things.run(script((_ADD, [(5, 1)]))) == [5]


async def test_a_violated_constraint_is_a_conflict_and_undoes_the_script(things: Database) -> None:
    await run(things, INSERT, 1)
    for refused in (script((INSERT, [(2,), (1,)])), script((INSERT, [(2,)]), (_ADD, [(-1, 1)]))):
        with pytest.raises(Conflict):
            await things.run(refused)

    assert await ids(things) == [1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.none() | st.binary(),
)
async def test_every_value_comes_back_as_it_was(
    things: Database, number: int, words: str | None, data: bytes | None
) -> None:
    await run(things, "DELETE FROM thing")

    await things.run(script((_INSERT_ALL, [(number, words, data)])))

    assert await look(things, "SELECT id, words, bytes FROM thing") == [(number, words, data)]


@pytest.mark.parametrize(
    "values",
    [(2**63, ""), (-(2**63) - 1, ""), (2**64, ""), (1, "N\0UL"), (1, "lone \ud800 surrogate")],
    ids=["too large", "too small", "beyond JSON", "NUL", "surrogate"],
)
async def test_a_value_that_no_column_holds_is_refused(things: Database, values: tuple[Value, ...]) -> None:
    with pytest.raises(ValueRefused):
        await things.run(script((INSERT, [(2,)]), (INSERT_WORDS, [values])))

    assert await ids(things) == []


async def test_a_placeholder_may_stand_twice(things: Database) -> None:
    assert await things.run(script((INSERT_WORDS, [(1, "it's")]), (_WORDS, [("it's", 1)]))) == [1]


async def test_the_clock_moves_on_within_a_script(things: Database) -> None:
    before_us = await things.now_us()
    times_us = await things.run(script((INSERT, [(1,)]), (_CLOCK, [(1,)] * 500)))

    after_us = await things.now_us()

    assert [before_us, *times_us, after_us] == sorted([before_us, *times_us, after_us])
    assert len(set(times_us)) > 1


async def test_scripts_and_transactions_run_in_the_order_in_which_they_are_asked_for(things: Database) -> None:
    await run(things, INSERT, 0)
    asked = [things.run(script((_ADD, [(1, 0)]))) if number % 3 else run(things, _ADD, 1, 0) for number in range(1, 31)]

    assert await asyncio.gather(*asked) == [[number] if number % 3 else [(number,)] for number in range(1, 31)]


async def test_a_caller_who_leaves_does_not_stop_the_script(things: Database) -> None:
    waiting = [asyncio.create_task(things.run(script((INSERT, [(number,)])))) for number in range(5)]
    await asyncio.sleep(0)  # each has asked
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    await run(things, INSERT, 5)
    assert await ids(things) == [0, 1, 2, 3, 4, 5]


async def test_closing_waits_for_the_scripts_that_were_asked_for(things: Database) -> None:
    waiting = [asyncio.create_task(things.run(script((INSERT, [(number,)])))) for number in range(20)]
    await asyncio.sleep(0)  # each has asked

    await things.close()

    assert [task.result() for task in waiting] == [[]] * 20
    with pytest.raises(DatabaseUnavailable):
        await things.run(script((INSERT, [(20,)])))


async def test_who_only_reads_runs_no_script(things: Database, open_another: Opener, postgres_url: str) -> None:
    reader: Database = (
        await open_another() if things.engine == "sqlite" else PostgresDatabase(postgres_url, read_only=True)
    )

    with pytest.raises(DatabaseUnavailable):
        await reader.run(script((INSERT, [(1,)])))


async def test_sqlite_waits_for_a_locked_file_beside_the_loop(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    await run(sqlite_database, CREATE_THING)
    other = apsw.Connection(str(tmp_path / "books.db"))
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(sqlite_database.run(script((INSERT, [(1,)]))))
    await asyncio.sleep(0)  # it has found the lock

    assert not waiting.done()
    other.execute("ROLLBACK")
    await waiting
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockTimeout):
        await sqlite_database.run(script((INSERT, [(2,)])))
    other.close()
    await sqlite_database.run(script((INSERT, [(3,)])))
    assert await ids(sqlite_database) == [1, 3]


@pytest.fixture
async def table(postgres_database: PostgresDatabase) -> PostgresDatabase:
    """A table with a row, on PostgreSQL."""
    await run(postgres_database, CREATE_THING)
    await run(postgres_database, INSERT, 1)
    return postgres_database


async def test_postgres_gets_a_script_in_one_message(table: PostgresDatabase) -> None:
    asked = script((_ADD, [(1, 1), (1, 1)]), (INSERT, [(2,), (3,)]), (_ADD, [(1, 2)]))
    await table.run(script((_ADD, [(1, 1)]), (INSERT, [(9,)])))
    assert table._writer is not None
    queries: list[str] = []

    with table._writer.connection.query_logger(lambda query: queries.append(query.query)):
        assert await table.run(asked) == [2, 3, 1]

    assert len(queries) == 1


async def test_a_row_that_is_locked_elsewhere_is_waited_for_and_no_longer(
    table: PostgresDatabase, postgres_url: str
) -> None:
    asked = script((INSERT, [(2,)]), (_ADD, [(1, 1)]))
    other = await asyncpg.connect(postgres_url)
    holding = other.transaction()
    await holding.start()
    await other.execute(_ADD, 1, 1)

    with pytest.raises(LockTimeout):
        await table.run(asked)
    assert await ids(table) == [1]

    waiting = asyncio.create_task(table.run(asked))
    while not await other.fetchval("SELECT COUNT(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0)
    await holding.rollback()
    assert await waiting == [1]
    await other.close()


async def test_a_script_whose_server_process_ends_is_uncertain(table: PostgresDatabase, postgres_url: str) -> None:
    assert table._writer is not None
    pid = table._writer.connection.get_server_pid()
    admin = await asyncpg.connect(postgres_url)
    running = asyncio.create_task(table.run(script((_SLOWLY, [(1,)]))))
    while not await admin.fetchval(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", pid
    ):
        await asyncio.sleep(0.01)
    await admin.execute("SELECT pg_terminate_backend($1)", pid)

    with pytest.raises(CommitUncertain):
        await running

    assert await table.run(script((_ADD, [(1, 1)]))) == [1]
    await admin.close()


async def test_a_role_that_may_make_no_function_runs_scripts_step_by_step(
    table: PostgresDatabase, postgres_url: str
) -> None:
    admin = await asyncpg.connect(postgres_url)
    name = await admin.fetchval("SELECT current_database()")
    role = f"role_{name}"
    for statement in (
        f"CREATE ROLE {role} LOGIN",
        f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC",
        f"GRANT ALL ON thing TO {role}",
    ):
        await admin.execute(statement)
    database = PostgresDatabase(postgres_url.replace("postgres@", f"{role}@"))
    await database.open()

    assert await database.run(script((INSERT, [(2,)]), (_ADD, [(1, 1), (2, 2)]))) == [1, 2]
    with pytest.raises(Unforeseen):
        await database.run(script((INSERT, [(3,)]), (_ADD, [(1, 9)])))

    assert await ids(table) == [1, 2]
    assert any("temporary PL/pgSQL functions" in warning for warning in database.warnings)
    await database.close()
    await admin.execute(f"DROP OWNED BY {role}")
    await admin.execute(f"DROP ROLE {role}")
    await admin.close()

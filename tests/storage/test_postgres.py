"""What is PostgreSQL's alone: what a server must be like, how long is waited, and what its errors mean."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from service.storage.database import Database, Row, Transaction
from service.storage.errors import CommitUncertain, Conflict, DatabaseUnavailable, LockTimeout
from service.storage.opening import open_database
from service.storage.postgres import PostgresDatabase
from service.storage.postgres_connection import Server
from tests.postgres_server import PostgresServer
from tests.storage.statements import CREATE_THING, INSERT, ids, look, run

Opener = Callable[[], Awaitable[Database]]

_GOOD = Server(
    version=15,
    synchronous_commit="on",
    synchronous_standby_names="",
    fsync="on",
    full_page_writes="on",
    in_recovery=False,
    standbys=0,
    makes_functions=True,
)
_ADD = "UPDATE thing SET count = count + 1 WHERE id = $1"


@pytest.fixture
async def things(postgres_database: PostgresDatabase) -> PostgresDatabase:
    await run(postgres_database, CREATE_THING)
    return postgres_database


@pytest.fixture
async def admin(postgres_url: str) -> AsyncIterator[Any]:
    """A superuser's own connection to the database."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


def test_a_server_as_it_should_be_has_no_faults() -> None:
    assert _GOOD.faults() == []
    assert _GOOD.warnings() == []
    assert replace(_GOOD, standbys=1, synchronous_standby_names="FIRST 1 (b)").faults() == []
    assert replace(_GOOD, synchronous_commit="remote_apply").faults() == []


@pytest.mark.parametrize(
    ("server", "fault"),
    [
        (replace(_GOOD, version=14), "version 14"),
        (replace(_GOOD, in_recovery=True), "standby"),
        (replace(_GOOD, synchronous_commit="off"), "synchronous_commit"),
        (replace(_GOOD, synchronous_commit="local"), "synchronous_commit"),
        (replace(_GOOD, standbys=1), "synchronous_standby_names"),
    ],
)
def test_a_server_that_can_forget_what_was_spent_is_refused(server: Server, fault: str) -> None:
    (found,) = server.faults()

    assert fault in found


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_a_power_failure_would_hurt_is_worth_a_warning(setting: str) -> None:
    server = {"fsync": replace(_GOOD, fsync="off"), "full_page_writes": replace(_GOOD, full_page_writes="off")}[setting]

    (warning,) = server.warnings()
    assert f"{setting} = off" in warning
    assert server.faults() == []


async def test_the_server_of_the_tests_is_warned_of(things: PostgresDatabase) -> None:
    assert [warning for warning in things.warnings if "fsync" in warning] == list(things.warnings) != []


async def test_a_role_that_does_not_commit_durably_does_so_here(postgres_url: str, admin: Any) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')

    database = await open_database(postgres_url)
    assert await run(database, "SHOW synchronous_commit") == [("on",)]
    await database.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lock_timeout", "500ms"),
        ("statement_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "500ms"),
        ("transaction_isolation", "read committed"),
    ],
)
async def test_the_writer_waits_for_nothing_long(things: Database, setting: str, value: str) -> None:
    assert await run(things, f"SHOW {setting}") == [(value,)]


@pytest.mark.parametrize(
    ("setting", "value"), [("transaction_isolation", "repeatable read"), ("transaction_read_only", "on")]
)
async def test_a_reader_has_a_snapshot_and_cannot_write(things: Database, setting: str, value: str) -> None:
    assert await look(things, f"SHOW {setting}") == [(value,)]


@pytest.mark.parametrize(("lock_timeout_s", "least_s", "most_s"), [(None, 0.4, 1.5), (0.05, 0.04, 0.4)])
async def test_a_row_that_another_replica_has_locked_is_waited_for_only_so_long(
    things: Database, admin: Any, lock_timeout_s: float | None, least_s: float, most_s: float
) -> None:
    for number in (1, 2):
        await run(things, INSERT, number)

    async def add(transaction: Transaction) -> None:
        await transaction.fetch(_ADD, 1)

    async with admin.transaction():
        await admin.execute(_ADD, 1)
        began_s = time.monotonic()
        with pytest.raises(LockTimeout):
            await things.transact(add, lock_timeout_s=lock_timeout_s)
        waited_s = time.monotonic() - began_s
        await run(things, _ADD, 2)

    assert least_s < waited_s < most_s
    await things.transact(add)
    assert await look(things, "SELECT id, count FROM thing ORDER BY id") == [(1, 2), (2, 1)]


async def test_a_longer_wait_for_a_lock_outlasts_the_time_a_statement_may_take(things: Database) -> None:
    async def ask(transaction: Transaction) -> list[Row]:
        return await transaction.fetch("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")

    assert await things.transact(ask, lock_timeout_s=7.5) == [("7500ms", "9500ms")]
    assert await things.transact(ask) == [("500ms", "2s")]


async def test_replicas_that_wait_for_each_other_are_told_apart(things: Database, open_replica: Opener) -> None:
    replica = await open_replica()
    for number in (1, 2):
        await run(things, INSERT, number)
    both = asyncio.Barrier(2)

    def crosswise(first: int, second: int) -> Callable[[Transaction], Awaitable[None]]:
        async def work(transaction: Transaction) -> None:
            await transaction.fetch(_ADD, first)
            await both.wait()
            await transaction.fetch(_ADD, second)

        return work

    ends = await asyncio.gather(
        things.transact(crosswise(1, 2)), replica.transact(crosswise(2, 1)), return_exceptions=True
    )

    assert {type(end) for end in ends} <= {LockTimeout, type(None)}
    assert LockTimeout in {type(end) for end in ends}


async def test_a_statement_that_takes_too_long_is_unavailable(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch("SELECT set_config('statement_timeout', '50', true)")
        await transaction.fetch("SELECT pg_sleep(5)")

    with pytest.raises(DatabaseUnavailable, match="57014"):
        await things.transact(work)

    assert await ids(things) == []


async def test_a_transaction_that_does_nothing_for_too_long_is_given_up_and_the_next_one_is_well(
    things: Database,
) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch("SELECT set_config('idle_in_transaction_session_timeout', '20', true)")
        await transaction.fetch(INSERT, 1)
        await asyncio.sleep(0.3)
        await transaction.fetch(INSERT, 2)

    with pytest.raises(DatabaseUnavailable):
        await things.transact(work)

    await run(things, INSERT, 3)
    assert await ids(things) == [3]


async def test_a_constraint_that_is_checked_at_commit_is_a_conflict(things: Database) -> None:
    await run(things, "CREATE TABLE once (id BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    async def work(transaction: Transaction) -> None:
        await transaction.execute_each("INSERT INTO once VALUES ($1)", [(1,), (1,)])

    with pytest.raises(Conflict):
        await things.transact(work)

    assert await look(things, "SELECT id FROM once") == []
    await run(things, INSERT, 1)


async def test_a_plan_that_a_migration_has_outdated_is_made_anew(things: Database, admin: Any) -> None:
    await run(things, INSERT, 1)
    assert len((await run(things, "SELECT * FROM thing"))[0]) == 4
    await admin.execute("ALTER TABLE thing ADD COLUMN later TEXT")

    with pytest.raises(DatabaseUnavailable):
        await run(things, "SELECT * FROM thing")

    assert len((await run(things, "SELECT * FROM thing"))[0]) == 5


@pytest.mark.parametrize(
    "url", ["postgresql://postgres@127.0.0.1:1/x", "postgresql://postgres@/x?host=/no/such/folder", "postgresql://:::"]
)
async def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await open_database(url)
    with pytest.raises(DatabaseUnavailable):
        await open_database(url, read_only=True)


async def test_a_database_that_is_not_there_is_unavailable(postgres: PostgresServer) -> None:
    with pytest.raises(DatabaseUnavailable, match="none"):
        await open_database(postgres.url("none"))


async def test_who_only_reads_cannot_write(postgres_url: str, things: Database) -> None:
    await run(things, INSERT, 1)
    reader = await open_database(postgres_url, read_only=True)

    assert await ids(reader) == [1]
    with pytest.raises(DatabaseUnavailable, match="reading only"):
        await run(reader, INSERT, 2)
    await reader.close()


async def test_a_wait_for_the_standby_that_is_cut_short_is_uncertain(things: Database, admin: Any) -> None:
    """PostgreSQL answers such a COMMIT with a warning and calls it done, but a failover would forget it."""
    ((pid,),) = await run(things, "SELECT pg_backend_pid()")
    await _until(admin, "SHOW synchronous_standby_names", "ghost", "ALTER SYSTEM SET synchronous_standby_names = ghost")
    try:
        async with asyncio.timeout(10):  # each backend reads the configuration when it comes to it
            while await run(things, "SHOW synchronous_standby_names") != [("ghost",)]:
                await asyncio.sleep(0.01)
        committing = asyncio.create_task(run(things, INSERT, 1))
        await _until(admin, f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}", "SyncRep")
        await admin.execute("SELECT pg_cancel_backend($1)", pid)

        with pytest.raises(CommitUncertain, match="warning"):
            await committing
    finally:
        await _until(admin, "SHOW synchronous_standby_names", "", "ALTER SYSTEM RESET synchronous_standby_names")
    assert await ids(things) == [1]


async def test_a_server_with_a_standby_that_no_commit_waits_for_is_refused(
    postgres: PostgresServer, postgres_url: str, admin: Any
) -> None:
    with postgres.standby():
        await _until(admin, "SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming'", 1)
        with pytest.raises(DatabaseUnavailable, match="synchronous_standby_names is empty"):
            await open_database(postgres_url)

        standby = "pg_receivewal"
        await _until(
            admin,
            "SHOW synchronous_standby_names",
            standby,
            "ALTER SYSTEM SET synchronous_standby_names = 'pg_receivewal'",
        )
        try:
            database = await open_database(postgres_url)
            await database.close()
        finally:
            await _until(admin, "SHOW synchronous_standby_names", "", "ALTER SYSTEM RESET synchronous_standby_names")


async def _until(admin: Any, question: str, answer: object, change: str = "SELECT 1") -> None:
    """Waits for the server to say so, after a change of its configuration."""
    await admin.execute(change)
    await admin.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(10):
        while await admin.fetchval(question) != answer:
            await asyncio.sleep(0.01)

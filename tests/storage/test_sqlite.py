"""What is SQLite's alone: one process, one file, its modes, and who may look into it."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from service.storage.database import Database, Transaction
from service.storage.errors import DatabaseUnavailable
from service.storage.migrate import migrate
from service.storage.opening import open_database
from service.storage.sqlite import SqliteDatabase
from service.storage.sqlite_connection import require_version
from service.storage.sqlite_session import CHECKPOINT_PAGES
from tests.storage.statements import CREATE_THING, INSERT, INSERT_WORDS, ids, look, run

_SERVE = """
import asyncio, sys
from pathlib import Path
from service.storage.errors import DatabaseUnavailable
from service.storage.sqlite import SqliteDatabase
from service.storage.sqlite_session import CHECKPOINT_PAGES
try:
    asyncio.run(SqliteDatabase(Path(sys.argv[1])).open())
except DatabaseUnavailable as error:
    sys.exit(str(error))
"""


def serve(path: Path) -> "subprocess.CompletedProcess[str]":
    """Another process opens the file to serve from it, and ends."""
    return subprocess.run([sys.executable, "-c", _SERVE, path], capture_output=True, text=True, check=False)


def modes(folder: Path) -> dict[str, int]:
    """The files of a folder, and who may do what with them."""
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.fixture
async def things(sqlite_database: SqliteDatabase) -> SqliteDatabase:
    await run(sqlite_database, CREATE_THING)
    return sqlite_database


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("auto_vacuum", 2), ("query_only", 0), ("wal_autocheckpoint", 0)],
)
async def test_the_writer_is_set_up_to_be_durable(things: Database, pragma: str, value: object) -> None:
    assert await run(things, f"PRAGMA {pragma}") == [(value,)]


async def test_a_log_of_megabytes_that_a_kill_left_behind_is_read(things: Database, tmp_path: Path) -> None:
    for number in range(40):
        await run(things, INSERT_WORDS, number, "x" * 65_536)
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("books.db", "books.db-wal"):
        shutil.copy(tmp_path / name, killed)
    log_bytes = (killed / "books.db-wal").stat().st_size
    again = SqliteDatabase(killed / "books.db")
    await again.open()
    found = await ids(again)
    await again.close()

    assert log_bytes > 2 * 1024 * 1024
    assert found == [*range(40)]


async def test_the_files_are_for_their_user_alone(things: Database, tmp_path: Path) -> None:
    await run(things, INSERT, 1)

    assert modes(tmp_path) == dict.fromkeys(["books.db", "books.db-lock", "books.db-shm", "books.db-wal"], 0o600)


async def test_a_second_process_is_refused_and_told_who_has_the_file(things: Database, tmp_path: Path) -> None:
    refused = serve(tmp_path / "books.db")

    assert refused.returncode == 1
    assert f"(pid {os.getpid()}) serves from books.db" in refused.stderr


async def test_the_file_can_be_served_again_after_closing(things: SqliteDatabase, tmp_path: Path) -> None:
    await run(things, INSERT, 1)
    await things.close()

    again = await open_database(f"sqlite:{tmp_path / 'books.db'}")
    assert await ids(again) == [1]
    await again.close()


async def test_closing_takes_the_log_into_the_file(things: Database, tmp_path: Path) -> None:
    await run(things, INSERT, 1)
    await things.close()

    assert sorted(modes(tmp_path)) == ["books.db", "books.db-lock"]


async def test_the_log_is_taken_into_the_file_before_it_grows_large(things: Database, tmp_path: Path) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch("UPDATE thing SET bytes = $1 WHERE id = 1", bytes(500 * 4096))

    await run(things, INSERT, 1)
    for _ in range(40):  # 20,000 pages
        await things.transact(work)

    assert (tmp_path / "books.db-wal").stat().st_size < 2 * CHECKPOINT_PAGES * 4096


async def test_who_only_reads_may_look_while_another_serves(
    things: Database, open_beside: Callable[[], Awaitable[Database]]
) -> None:
    beside = await open_beside()
    await run(things, INSERT, 1)

    assert await ids(beside) == [1]
    with pytest.raises(DatabaseUnavailable, match="reading only"):
        await run(beside, INSERT, 2)


async def test_who_only_reads_leaves_the_log_alone(
    things: SqliteDatabase, open_beside: Callable[[], Awaitable[Database]], tmp_path: Path
) -> None:
    await run(things, INSERT, 1)
    before = (tmp_path / "books.db").read_bytes()
    beside = await open_beside()
    await ids(beside)
    await beside.close()

    assert (tmp_path / "books.db").read_bytes() == before
    assert (tmp_path / "books.db-wal").exists()


async def test_who_only_reads_may_look_into_what_a_crash_left(things: Database, tmp_path: Path) -> None:
    await run(things, INSERT, 1)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("books.db", "books.db-wal"):
        shutil.copy(tmp_path / name, crashed / name)

    reader = await open_database(f"sqlite:{crashed / 'books.db'}", read_only=True)
    assert await ids(reader) == [1]
    await reader.close()
    assert not (crashed / "books.db-lock").exists()


async def test_a_file_that_is_not_there_is_not_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        await open_database(f"sqlite:{tmp_path / 'none.db'}", read_only=True)

    assert modes(tmp_path) == {}


@pytest.mark.parametrize("name", ["no/such/folder.db", "text.db", ""])
async def test_what_cannot_be_opened_is_unavailable(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.db").write_text("This is no database, and long enough for its header to be looked at. " * 20)

    with pytest.raises(DatabaseUnavailable):
        await open_database(f"sqlite:{tmp_path / name}")


async def test_a_url_names_a_kind_of_database() -> None:
    with pytest.raises(ValueError, match="sqlite:/absolute/path"):
        await open_database("mysql://localhost")


def test_a_sqlite_that_damages_files_is_refused() -> None:
    require_version("3.51.3")
    require_version(apsw.sqlite_lib_version())

    for version in ("3.51.2", "3.40.1", "3.7.0"):
        with pytest.raises(apsw.CantOpenError, match=version):
            require_version(version)


async def test_a_work_that_awaits_something_else_is_told_so_and_leaves_nothing(things: Database) -> None:
    ended = []

    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match="awaited something else"):
        await things.transact(work)

    assert ended == [True]
    assert await ids(things) == []


async def test_the_clock_is_the_one_that_was_passed_in(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "books.db", clock_us=lambda: 1234)
    await database.open()
    await migrate(database)

    assert await database.now_us() == 1234
    assert await look(database, "SELECT clock_us()") == [(1234,)]
    await database.close()


async def test_other_tools_can_read_the_file_afterwards(things: Database, tmp_path: Path) -> None:
    await run(things, INSERT, 1)
    await things.close()

    plain = sqlite3.connect(tmp_path / "books.db")
    assert plain.execute("SELECT id FROM thing").fetchall() == [(1,)]
    assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    plain.close()

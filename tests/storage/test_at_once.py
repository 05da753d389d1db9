"""A script that is over when it has been asked for: where nothing has to be waited for, and nowhere else."""

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from service.storage.database import Database, Script, Step
from service.storage.errors import CommitUncertain, Unforeseen, WouldWait
from service.storage.kernel_sync import Ended
from service.storage.postgres import PostgresDatabase
from service.storage.sqlite import SqliteDatabase
from tests.storage.file_syncs import HeldSync
from tests.storage.statements import CREATE_THING, ids, insert, run

CHANGE = Script([Step("UPDATE thing SET count = count + 1 WHERE id = $1 RETURNING count", [(7,)])], list)


class InTurn:
    """A sync that ends before it returns, unless the test says otherwise.

    Attributes:
        ends: How the next ones end.
    """

    def __init__(self) -> None:
        self.is_prompt = True
        self.ends: list[OSError] = []
        self.begun = 0

    def begin(self, descriptor: int, ended: Ended) -> None:
        assert descriptor >= 0
        self.begun += 1
        ended(self.ends.pop() if self.ends else None)

    def bring(self, descriptor: int) -> OSError | None:
        ends: list[OSError | None] = []
        self.begin(descriptor, ends.append)
        return ends[0]

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def sync() -> InTurn:
    return InTurn()


@pytest.fixture
async def sqlite(tmp_path: Path, sync: InTurn) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db", sync=sync)
    await database.open()
    await run(database, CREATE_THING)
    await database.run(insert(0))  # begins the log
    yield database
    await database.close()


async def test_it_is_over_when_it_returns(sqlite: SqliteDatabase, sync: InTurn, tmp_path: Path) -> None:
    before = sync.begun
    assert sqlite.run_at_once(insert(1)) == []

    assert sync.begun == before + 1
    other = apsw.Connection(str(tmp_path / "books.db"), apsw.SQLITE_OPEN_READONLY)
    assert other.execute("SELECT id FROM thing ORDER BY id").fetchall() == [(0,), (1,)]
    other.close()


async def test_what_is_not_as_foreseen_has_not_happened(sqlite: SqliteDatabase) -> None:
    script = Script([*insert(1).steps, *CHANGE.steps], list)
    with pytest.raises(Unforeseen):
        sqlite.run_at_once(script)

    assert await ids(sqlite) == [0]
    assert sqlite.run_at_once(insert(7)) == []
    assert sqlite.run_at_once(CHANGE) == [1]


async def test_a_sync_that_fails_makes_it_uncertain(sqlite: SqliteDatabase, sync: InTurn) -> None:
    sync.ends.append(OSError(errno.EIO, "broken"))
    with pytest.raises(CommitUncertain, match="broken"):
        sqlite.run_at_once(insert(1))

    with pytest.raises(WouldWait):  # until it is open anew
        sqlite.run_at_once(insert(2))
    await sqlite.run(insert(2))
    await sqlite.run(insert(3))
    sqlite.run_at_once(insert(4))
    assert await ids(sqlite) == [0, 1, 2, 3, 4]


async def test_whatever_else_fails_behind_the_commit_makes_it_uncertain(
    sqlite: SqliteDatabase, sync: InTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(sync, "bring", fail)
        with pytest.raises(CommitUncertain, match="MemoryError"):
            sqlite.run_at_once(insert(1))

    await sqlite.run(insert(2))
    assert await ids(sqlite) == [0, 1, 2]


async def test_a_log_that_cannot_even_be_closed_is_opened_anew(
    sqlite: SqliteDatabase, sync: InTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def closed_with_an_error(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, "broken")

    sync.ends.append(OSError(errno.EIO, "broken"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closed_with_an_error)
        with pytest.raises(CommitUncertain):
            sqlite.run_at_once(insert(1))

    await sqlite.run(insert(2))
    assert await ids(sqlite) == [0, 1, 2]


async def test_it_does_not_wait_for_a_slow_disk(sqlite: SqliteDatabase, sync: InTurn) -> None:
    sync.is_prompt = False
    with pytest.raises(WouldWait):
        sqlite.run_at_once(insert(1))

    assert await ids(sqlite) == [0]


async def test_it_does_not_wait_for_the_thread(sqlite: SqliteDatabase) -> None:
    sqlite._writer_thread.hold()
    with pytest.raises(WouldWait):
        sqlite.run_at_once(insert(1))
    sqlite._writer_thread.release()

    assert await ids(sqlite) == [0]


async def test_it_does_not_wait_for_who_else_has_the_file(sqlite: SqliteDatabase, tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "books.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WouldWait):
        sqlite.run_at_once(insert(1))
    other.execute("ROLLBACK")
    other.close()

    assert await ids(sqlite) == [0]


async def test_what_begins_the_log_is_waited_for_in_the_thread(tmp_path: Path, sync: InTurn) -> None:
    database = SqliteDatabase(tmp_path / "books.db", sync=sync)
    await database.open()
    with pytest.raises(WouldWait):
        database.run_at_once(Script([Step(CREATE_THING, [()])], list))
    await database.close()


async def test_a_sync_that_is_under_way_is_waited_for(tmp_path: Path) -> None:
    held = HeldSync()
    database = SqliteDatabase(tmp_path / "books.db", sync=held)
    await database.open()
    await run(database, CREATE_THING)
    with pytest.raises(WouldWait):
        database.run_at_once(insert(0))
    await database.close()


async def test_a_closed_or_read_only_one_refuses(tmp_path: Path, sync: InTurn) -> None:
    database = SqliteDatabase(tmp_path / "books.db", sync=sync)
    await database.open()
    await run(database, CREATE_THING)
    reading: Database = SqliteDatabase(tmp_path / "books.db", read_only=True)
    with pytest.raises(WouldWait):
        reading.run_at_once(insert(1))
    await reading.close()
    await database.close()
    with pytest.raises(WouldWait):
        database.run_at_once(insert(1))


async def test_postgresql_has_to_be_waited_for(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    with pytest.raises(WouldWait):
        database.run_at_once(insert(1))
    await database.close()

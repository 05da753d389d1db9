"""Ballast: space that is given up so that what was begun can be ended."""

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.storage.database import Transaction
from service.storage.disk import Ballast, free_bytes
from service.storage.errors import DatabaseUnavailable
from service.storage.sqlite import SqliteDatabase
from tests.storage.statements import CREATE_THING, ids, run

MIB = 1 << 20


class Space:
    """What a file system would say."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, _: Path) -> int:
        return self.free


@pytest.fixture
def space() -> Space:
    return Space(100 * MIB)


@pytest.fixture
def ballast(tmp_path: Path, space: Space) -> Ballast:
    return Ballast(tmp_path / "books.db", MIB, ballast_bytes=4 * MIB, free=space)


def test_ballast_is_taken_up_where_there_is_plenty(ballast: Ballast, tmp_path: Path) -> None:
    assert not ballast.aboard
    assert ballast.look()

    taken = (tmp_path / "books.db-ballast").stat()
    assert taken.st_blocks * 512 >= 4 * MIB  # reserved, and not only as long
    assert taken.st_mode & 0o777 == 0o600


def test_ballast_is_dropped_below_low_water_and_kept_above_it(ballast: Ballast, space: Space) -> None:
    ballast.look()

    space.free = MIB
    assert ballast.look()
    space.free = MIB - 1
    assert not ballast.look()


def test_ballast_that_was_dropped_comes_back_only_when_there_is_plenty_again(ballast: Ballast, space: Space) -> None:
    ballast.look()
    ballast.drop()

    space.free = 6 * MIB - 1
    assert not ballast.look()
    space.free = 6 * MIB
    assert ballast.look()


def test_ballast_outlives_the_process(ballast: Ballast, tmp_path: Path) -> None:
    ballast.look()

    assert Ballast(tmp_path / "books.db", MIB, ballast_bytes=4 * MIB).aboard


def test_half_a_ballast_is_none(ballast: Ballast, tmp_path: Path) -> None:
    (tmp_path / "books.db-ballast").write_bytes(b"a crash came between")

    assert not ballast.aboard
    assert ballast.look()


def test_dropping_what_is_not_there_does_nothing(ballast: Ballast) -> None:
    ballast.drop()

    assert not ballast.aboard


def test_free_bytes_are_those_of_the_folder(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)

    assert abs(free_bytes(tmp_path) - found.f_bavail * found.f_frsize) < 1 << 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
async def full_database(small_disk: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(small_disk / "books.db")
    await database.open()
    await run(database, CREATE_THING)
    yield database
    await database.close()


async def test_on_a_full_disk_nothing_acknowledged_is_lost_and_dropping_ballast_makes_room(
    full_database: SqliteDatabase, small_disk: Path
) -> None:
    ballast = Ballast(small_disk / "books.db", MIB, ballast_bytes=3 * MIB)
    assert ballast.look()
    acknowledged = 0

    async def insert(transaction: Transaction) -> None:
        await transaction.fetch("INSERT INTO thing (id, bytes) VALUES ($1, $2)", acknowledged, bytes(20_000))

    with contextlib.suppress(DatabaseUnavailable):
        while True:
            await full_database.transact(insert)
            acknowledged += 1
    with pytest.raises(DatabaseUnavailable, match="full"):
        await full_database.transact(insert)
    assert await ids(full_database) == list(range(acknowledged))

    assert not ballast.look()
    await full_database.transact(insert)
    assert await ids(full_database) == list(range(acknowledged + 1))
    assert not ballast.look()  # there is room, but not plenty

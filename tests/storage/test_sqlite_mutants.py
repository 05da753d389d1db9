"""Each way in which a sync beside COMMIT could go wrong is found by the disk that breaks."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.storage import sqlite_connection, sqlite_session
from service.storage.sqlite import SqliteDatabase
from service.storage.sqlite_session import Session
from tests.storage.broken_disk import Fault
from tests.storage.endurance import sweep
from tests.storage.file_syncs import DiskSync, EarlySync, NoSync


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_session, "CHECKPOINT_PAGES", 15)


def faults() -> list[Fault]:
    return [Fault("sync", at, forgets=forgets) for forgets in (False, True) for at in range(14)]


async def test_as_it_is_these_faults_find_nothing(tmp_path: Path) -> None:
    sums = await sweep(tmp_path, faults(), DiskSync)

    assert sums["faults that struck"] == len(faults())


@pytest.mark.parametrize("sync", [NoSync, EarlySync])
async def test_a_sync_that_is_left_out_or_late_is_found(tmp_path: Path, sync: type[DiskSync]) -> None:
    with pytest.raises(AssertionError, match="lost"):
        await sweep(tmp_path, faults(), sync)


def trusting_after_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "distrust", lambda _: None)


def trusting_itself_after_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    def count(session: Session) -> None:
        session.doubts += 1

    patch.setattr(Session, "distrust", count)


def showing_what_may_be_lost(patch: pytest.MonkeyPatch) -> None:
    async def at_once(_: SqliteDatabase, doubts: int) -> None:
        """Nothing is waited for."""

    patch.setattr(SqliteDatabase, "_require_durable", at_once)


def going_on_with_the_old_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sqlite_connection, "rewrite_log", lambda *_: None)


def going_on_with_the_old_index(patch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def left_open(_: Session) -> Iterator[None]:
        yield

    patch.setattr(Session, "shut", left_open)
    patch.setattr(sqlite_connection, "_forget_index", lambda _: None)


@pytest.mark.parametrize(
    ("mutate", "found"),
    [
        (trusting_after_a_failed_sync, "shown and lost"),
        (trusting_itself_after_a_failed_sync, "lost"),
        (showing_what_may_be_lost, "shown and lost"),
        (going_on_with_the_old_log, "lost"),
        (going_on_with_the_old_index, "did not heal"),
    ],
)
async def test_a_writer_that_does_not_doubt_what_a_failed_sync_left_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutate: Callable[[pytest.MonkeyPatch], None], found: str
) -> None:
    mutate(monkeypatch)

    with pytest.raises(AssertionError, match=found):
        await sweep(tmp_path, faults(), DiskSync)

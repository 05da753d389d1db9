import asyncio
import random
from pathlib import Path

import pytest

from bench.bare_books import bare_books
from bench.disk import sync_times
from bench.spread import Spread
from bench.stopwatch import Stopwatch
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.storage.migrate import migrate
from service.storage.sqlite import SqliteDatabase
from tests.books.making import admission, note, settlement
from tests.books.scripted import COMMIT_S, Scene, in_simulated_time


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_a_spread_is_what_half_and_all_but_a_hundredth_do_not_exceed(count: int) -> None:
    took_s = [number / 1000 for number in range(1, count + 1)]
    random.Random(count).shuffle(took_s)
    spread = Spread.of(took_s)

    assert sum(s * 1000 <= spread.p50_ms for s in took_s) == -(-count // 2)
    assert sum(s * 1000 > spread.p99_ms for s in took_s) == count // 100


def test_the_disk_is_asked_and_left_as_it_was(tmp_path: Path) -> None:
    spread = sync_times(tmp_path)

    assert 0 < spread.p50_ms <= spread.p99_ms
    assert list(tmp_path.iterdir()) == []


@in_simulated_time
async def test_a_call_s_wait_is_that_for_both_records_and_not_for_cohere() -> None:
    scene = await Scene.new()
    books = Books(scene.database, scene.committer)
    stopwatch = Stopwatch(asyncio.get_running_loop().time)

    async def call() -> None:
        entry = admission()
        admitted = await books.admit(entry)
        await asyncio.sleep(7)
        await books.settle(settlement(entry, admitted, 3))

    with stopwatch.held():
        await asyncio.gather(call(), call(), call())
        await books.record(note())
    await call()  # is not measured any more

    told = stopwatch.told()
    assert told["waits_s"] == [pytest.approx(2 * COMMIT_S)] * 3
    assert (told["commits"], told["entries"]) == (3, 7)
    assert stopwatch.told() == {"event": "waits", "waits_s": [], "commits": 0, "entries": 0}


async def test_bare_books_write_what_calls_are_admitted_and_settled_by_and_leave_the_rest(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    await migrate(database)
    books = Books(database, Committer(database, DatabaseClock(await database.now_us()), lambda _: None))
    entry = admission()

    async with bare_books(tmp_path / "file"):
        admitted = await books.admit(entry)
        settled = settlement(entry, admitted, 3)
        await books.settle(settled)
        await books.record(note(reason="TEAM_FROZEN"))

    written = entry.intent(admitted.period) + settled.outcome.body
    assert (tmp_path / "file").read_bytes().startswith(written + b"\0")
    kinds = await database.read(lambda tx: tx.fetch("SELECT kind FROM audit WHERE kind <> 'notice'"))
    assert kinds == [("answer",)]
    await database.close()

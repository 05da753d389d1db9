"""The committer while its database works: what becomes one commit, in which order, and who may leave when."""

import asyncio
import gc
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.books import operations
from service.books.books import Books
from service.books.committer import ENTRIES_MAX
from service.books.entries import Admission, Admitted, Entry, Settled
from service.books.errors import BooksUnavailable, BudgetInFlight, TeamFrozen
from service.books.operations import Operator
from tests.books.making import admission, note, settlement
from tests.books.oracle import require_sound
from tests.books.scripted import COMMIT_S, Scene, in_simulated_time

BY = Operator("ops", "why")


async def open_holds(scene: Scene) -> list[Any]:
    tables = await require_sound(scene.database)
    return [row for row in tables["call_hold"] if row["state"] == "open"]


@in_simulated_time
async def test_alone_an_entry_waits_for_its_own_commit_only() -> None:
    scene = await Scene.new()
    started_s = asyncio.get_running_loop().time()
    await scene.committer.submit(note())

    assert asyncio.get_running_loop().time() - started_s == pytest.approx(COMMIT_S)
    assert len(scene.database.commits) == 1


@in_simulated_time
async def test_what_comes_during_a_commit_is_the_next_one() -> None:
    scene = await Scene.new()
    scene.database.gate.clear()
    first = scene.committer.submit(note())
    while not scene.committer._under_way:
        await asyncio.sleep(0)
    entries = [note() for _ in range(5)]
    rest = [scene.committer.submit(entry) for entry in entries]
    scene.database.gate.set()
    await asyncio.gather(first, *rest)

    assert len(scene.database.commits) == 2
    assert scene.database.commits[1] == [entry.record.call_id for entry in entries]


@in_simulated_time
async def test_what_is_ready_at_once_shares_a_commit() -> None:
    scene = await Scene.new()
    await asyncio.gather(*(scene.committer.submit(note()) for _ in range(50)))

    assert len(scene.database.commits) == 1


@in_simulated_time
async def test_a_commit_holds_so_much_and_the_rest_follows_in_order() -> None:
    scene = await Scene.new()
    entries = [note() for _ in range(ENTRIES_MAX + 3)]
    await asyncio.gather(*map(scene.committer.submit, entries))

    assert [call_id for commit in scene.database.commits for call_id in commit if call_id] == [
        entry.record.call_id for entry in entries
    ]
    assert list(map(len, scene.database.commits)) == [1 + ENTRIES_MAX, 3]


@in_simulated_time
async def test_what_came_back_pays_for_what_comes_with_it() -> None:
    scene = await Scene.new()
    books = Books(scene.database, scene.committer)
    first = admission(hold_nanos=100)
    admitted = await books.admit(first)
    second = admission(hold_nanos=95)
    await books.admit(second, after=settlement(first, admitted, 5))

    assert [row["call_id"] for row in await open_holds(scene)] == [second.call_id]
    assert len(scene.database.commits) == 2


@in_simulated_time
async def test_an_operation_that_is_refused_refuses_nobody_else() -> None:
    scene = await Scene.new()
    refused = operations.adjustment("search", ZoneInfo("UTC"), -5, "one", BY)
    futures = [scene.committer.submit(entry) for entry in (note(), refused, note())]
    results = await asyncio.gather(*futures, return_exceptions=True)

    assert [type(result).__name__ for result in results] == ["NoneType", "AdjustmentBelowZero", "NoneType"]
    await require_sound(scene.database)


@in_simulated_time
async def test_operations_count_from_their_commit_on() -> None:
    scene = await Scene.new()
    zone = ZoneInfo("UTC")
    entries: list[Entry] = [
        admission(hold_nanos=40),
        operations.freeze("search", zone, BY, frozen=True),
        admission(hold_nanos=40),
        operations.freeze("search", zone, BY, frozen=False),
        operations.adjustment("search", zone, 60, "one", BY),
        admission(hold_nanos=1),
    ]
    results = await asyncio.gather(*map(scene.committer.submit, entries), return_exceptions=True)

    assert isinstance(results[0], Admitted)
    assert isinstance(results[2], TeamFrozen)
    assert isinstance(results[5], BudgetInFlight)


@in_simulated_time
async def test_a_caller_that_leaves_the_queue_was_never_there() -> None:
    scene = await Scene.new()
    books = Books(scene.database, scene.committer)
    scene.database.gate.clear()
    first = asyncio.create_task(books.record(note()))
    while not scene.committer._under_way:
        await asyncio.sleep(0)
    leaving = asyncio.create_task(books.admit(admission()))
    await asyncio.sleep(0)
    leaving.cancel()
    scene.database.gate.set()
    await first
    await scene.committer.close(1.0)

    assert leaving.cancelled()
    assert (await require_sound(scene.database))["call_hold"] == []


@pytest.mark.parametrize("turns", range(12))
@in_simulated_time
async def test_an_admission_whose_caller_leaves_while_it_is_written_is_voided_once(turns: int) -> None:
    """*turns* of the loop after the commit was let go: before it, with it, just after it, before its waiter runs."""
    scene = await Scene.new()
    books = Books(scene.database, scene.committer)
    scene.database.gate.clear()
    leaving = asyncio.create_task(books.admit(admission()))
    while not scene.committer._under_way:
        await asyncio.sleep(0)
    scene.database.gate.set()
    await asyncio.sleep(COMMIT_S)
    for _ in range(turns):
        await asyncio.sleep(0)
    was_admitted = leaving.done()
    leaving.cancel()
    await asyncio.wait({leaving})
    await scene.committer.close(1.0)

    (row,) = (await require_sound(scene.database))["call_hold"]
    assert (row["state"], leaving.cancelled()) == (("open", False) if was_admitted else ("void", True))


@in_simulated_time
async def test_callers_that_leave_at_every_turn_are_met_before_and_after_the_commit() -> None:
    """Holds the test before to what it is for: that its turns reach both sides."""
    ends = set()
    for turns in range(12):
        scene = await Scene.new()
        leaving = asyncio.create_task(Books(scene.database, scene.committer).admit(admission()))
        await asyncio.sleep(COMMIT_S)
        for _ in range(turns):
            await asyncio.sleep(0)
        ends.add(leaving.done())
        await leaving

    assert ends == {False, True}


@in_simulated_time
async def test_a_settlement_whose_waiter_leaves_is_written_all_the_same() -> None:
    scene = await Scene.new()
    books = Books(scene.database, scene.committer)
    entry = admission()
    leaving = asyncio.create_task(books.settle(settlement(entry, await books.admit(entry), 7)))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    await scene.committer.close(1.0)

    (row,) = (await require_sound(scene.database))["call_hold"]
    assert (row["state"], row["charge_nanos"]) == ("settled", 7)


@in_simulated_time
async def test_a_settlement_tells_what_the_day_has_committed_after_the_whole_commit() -> None:
    scene = await Scene.new()
    entry = admission(hold_nanos=50)
    admitted = await scene.committer.submit(entry)
    settled, _ = await asyncio.gather(
        scene.committer.submit(settlement(entry, admitted, 5)), scene.committer.submit(admission(hold_nanos=20))
    )

    assert settled == Settled(25)


@in_simulated_time
async def test_a_stop_writes_what_is_queued_and_takes_nothing_more() -> None:
    scene = await Scene.new()
    futures = [scene.committer.submit(note()) for _ in range(3)]

    assert await scene.committer.close(1.0) == 0
    assert all(future.done() and future.exception() is None for future in futures)
    for entry in (note(), settlement(admission(), Admitted(scene.committer._periods["search"], 0, 10), 5)):
        with pytest.raises(BooksUnavailable):
            await scene.committer.submit(entry)


@in_simulated_time
async def test_nothing_is_left_in_memory_of_what_is_written() -> None:
    scene = await Scene.new()

    async def one_round() -> None:
        entries = [admission("memory", hold_nanos=1) for _ in range(5)]
        admitted = await asyncio.gather(*map(scene.committer.submit, entries))
        ends = [settlement(entry, each, 1) for entry, each in zip(entries, admitted, strict=True)]
        await asyncio.gather(*(scene.committer.submit(entry) for entry in (*ends, note())))

    for _ in range(20):
        await one_round()
    gc.collect()

    assert scene.committer.waiting == 0
    assert [each for each in gc.get_objects() if isinstance(each, Admission) and each.team == "memory"] == []

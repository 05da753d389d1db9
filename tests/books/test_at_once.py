"""After a rest an entry is durable when it has been submitted, if the database need not be waited for."""

import asyncio

import pytest

from service.books.books import Books
from service.books.entries import Settled
from service.books.errors import BooksUnavailable, BudgetInFlight
from service.books.gathering import REST_S
from tests.books.making import admission, note, settlement
from tests.books.oracle import require_sound
from tests.books.scripted import Scene, in_simulated_time


async def prompt_scene() -> Scene:
    """Of a team whose day is known, and of a committer that has rested."""
    scene = await Scene.new()
    await scene.committer.submit(admission(hold_nanos=1))
    scene.database.commits.clear()
    scene.database.is_prompt = True
    await asyncio.sleep(2 * REST_S)
    return scene


@in_simulated_time
async def test_after_a_rest_nothing_is_waited_for() -> None:
    scene = await prompt_scene()
    entry = admission()

    assert scene.committer.submit(entry).done()

    assert scene.database.commits == [[entry.call_id]]
    assert scene.committer._running is None
    await require_sound(scene.database)


@in_simulated_time
async def test_who_asks_does_not_leave_its_turn() -> None:
    scene = await prompt_scene()
    books = Books(scene.database, scene.committer)
    turns: list[None] = []
    asyncio.get_running_loop().call_soon(turns.append, None)

    await books.admit(admission())

    assert turns == []


@in_simulated_time
async def test_without_a_rest_entries_share_a_commit() -> None:
    scene = await prompt_scene()
    first, *others = [scene.committer.submit(admission(hold_nanos=1)) for _ in range(10)]

    assert first.done()
    assert not any(other.done() for other in others)
    await asyncio.gather(*others)
    assert list(map(len, scene.database.commits)) == [1, 9]

    await asyncio.sleep(2 * REST_S)
    assert scene.committer.submit(admission(hold_nanos=1)).done()


@in_simulated_time
async def test_the_end_of_an_attempt_and_the_next_one_share_a_commit() -> None:
    scene = await prompt_scene()
    books = Books(scene.database, scene.committer)
    first = admission(hold_nanos=90)
    admitted = await books.admit(first)
    await asyncio.sleep(2 * REST_S)
    scene.database.commits.clear()
    end, second = (
        settlement(first, admitted, 0, "void", last=False),
        admission(hold_nanos=95, call_id=first.call_id, attempt=2),
    )

    await books.admit(second, end)

    assert scene.database.commits == [[first.call_id] * 2]
    assert end.done.result() == Settled(96)


@in_simulated_time
async def test_what_does_not_fit_is_looked_at_step_by_step() -> None:
    scene = await prompt_scene()
    done = scene.committer.submit(admission(hold_nanos=100))

    assert not done.done()
    with pytest.raises(BudgetInFlight):
        await done
    await require_sound(scene.database)


@in_simulated_time
async def test_a_commit_whose_end_is_not_known_is_refused_and_withdrawn() -> None:
    scene = await prompt_scene()
    before = scene.committer._writer.pen.writer_id
    scene.database.faults.append("answer")
    entry = admission()

    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(entry)

    assert not scene.committer.available
    while scene.committer.waiting:
        await asyncio.sleep(0.01)
    assert scene.told == [False, True]
    assert scene.committer._writer.pen.writer_id != before
    tables = await require_sound(scene.database)
    assert [row["state"] for row in tables["call_hold"] if row["call_id"] == entry.call_id] == ["void"]


@in_simulated_time
async def test_a_database_that_fails_keeps_what_ended_upstream() -> None:
    scene = await prompt_scene()
    books = Books(scene.database, scene.committer)
    entry = admission()
    admitted = await books.admit(entry)
    await asyncio.sleep(2 * REST_S)
    scene.database.faults.append("begin")

    ended = scene.committer.submit(settlement(entry, admitted, 5))
    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(note())

    assert await ended == Settled(6)
    await require_sound(scene.database)


@in_simulated_time
async def test_a_budget_that_is_locked_keeps_no_other_waiting() -> None:
    scene = await prompt_scene()
    await scene.committer.submit(admission("ads", hold_nanos=1))
    scene.database.locked.add("ads")
    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(admission("ads"))
    await asyncio.sleep(2 * REST_S)

    assert scene.committer.submit(admission(hold_nanos=1)).done()

    scene.database.locked.clear()
    await asyncio.sleep(1.0)
    suspected = scene.committer.submit(admission("ads", hold_nanos=1))
    assert not suspected.done()  # it is tried by itself, and briefly
    await suspected
    await asyncio.sleep(2 * REST_S)
    assert scene.committer.submit(admission("ads", hold_nanos=1)).done()


@in_simulated_time
async def test_after_the_end_nothing_is_taken() -> None:
    scene = await prompt_scene()
    assert await scene.committer.close(1.0) == 0

    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(note())
    assert scene.database.commits == []

"""The committer while its database fails: what is kept, what is refused at once, and how it heals."""

import asyncio

import pytest
from structlog.testing import capture_logs

from service.books.books import Books
from service.books.committer import BACKOFF_MAX_S, QUARANTINE_RETRY_S
from service.books.entries import Admission, Admitted, Settled
from service.books.errors import BooksUnavailable
from service.books.period import Period
from tests.books.making import admission, correction, note, notice, settlement
from tests.books.oracle import Tables, require_sound
from tests.books.scripted import START_US, Fault, Scene, in_simulated_time

CERTAIN: tuple[Fault, ...] = ("begin", "statement")
UNCERTAIN: tuple[Fault, ...] = ("commit", "answer")


async def admitted_in(scene: Scene, count: int) -> list[tuple[Admission, Admitted]]:
    entries = [admission(hold_nanos=10) for _ in range(count)]
    return list(zip(entries, await asyncio.gather(*map(scene.committer.submit, entries)), strict=True))


async def states(scene: Scene) -> dict[str, str]:
    tables = await require_sound(scene.database)
    return {row["call_id"]: row["state"] for row in tables["call_hold"]}


def calls(tables: Tables) -> int:
    return sum(row["calls"] for row in tables["usage_day"])


@pytest.mark.parametrize("fault", CERTAIN)
@in_simulated_time
async def test_what_is_to_begin_is_refused_and_what_has_ended_is_kept(fault: Fault) -> None:
    scene = await Scene.new()
    begun = await admitted_in(scene, 3)
    scene.database.faults.append(fault)
    ends = [scene.committer.submit(settlement(*each, 3)) for each in begun]
    refused = admission()
    refusals = [scene.committer.submit(entry) for entry in (refused, note())]
    results = await asyncio.gather(*ends, *refusals, return_exceptions=True)

    assert results[:3] == [Settled(9)] * 3
    assert [type(result) for result in results[3:]] == [BooksUnavailable] * 2
    assert scene.database.commits[-1] == [entry.call_id for entry, _ in begun]
    assert scene.told == [False, True]
    assert refused.call_id not in await states(scene)


@in_simulated_time
async def test_while_the_database_is_down_nothing_new_waits() -> None:
    scene = await Scene.new()
    ((begun, admitted),) = await admitted_in(scene, 1)
    scene.database.is_down = True
    kept = scene.committer.submit(settlement(begun, admitted, 3))
    while scene.committer.available:
        await asyncio.sleep(0.01)
    at_s = asyncio.get_running_loop().time()
    for entry in (admission(), note(), notice()):
        with pytest.raises(BooksUnavailable):
            await scene.committer.submit(entry)

    assert asyncio.get_running_loop().time() == at_s
    assert not kept.done()
    scene.database.is_down = False
    assert await kept == Settled(3)


@in_simulated_time
async def test_it_finds_out_by_itself_that_the_database_is_back() -> None:
    scene = await Scene.new()
    scene.database.is_down = True
    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(note())
    await asyncio.sleep(60.0)
    assert (scene.committer.available, scene.told) == (False, [False])
    scene.database.is_down = False
    await asyncio.sleep(BACKOFF_MAX_S + 0.01)

    assert (scene.committer.available, scene.told) == (True, [False, True])
    assert scene.committer._running is None


@in_simulated_time
async def test_a_disk_that_can_only_be_read_is_no_database_that_is_back() -> None:
    scene = await Scene.new()
    begun = await admitted_in(scene, 1)
    scene.database.is_full = True
    kept = scene.committer.submit(settlement(*begun[0], 3))
    await asyncio.sleep(60.0)
    assert scene.told == [False]
    scene.database.is_full = False
    await kept

    assert scene.told == [False, True]


@in_simulated_time
async def test_a_database_that_takes_probes_alone_is_asked_ever_more_seldom() -> None:
    scene = await Scene.new()
    begun = await admitted_in(scene, 1)
    scene.database.refused.clear()
    scene.database.faults.extend(["statement", ""] * 60)
    await scene.committer.submit(settlement(*begun[0], 3))
    took_s = asyncio.get_running_loop().time()

    assert scene.told == [False, True] * 60
    assert took_s > 50 * BACKOFF_MAX_S


@pytest.mark.parametrize("fault", UNCERTAIN)
@in_simulated_time
async def test_a_commit_of_which_nobody_knows_costs_nothing_and_loses_nothing(fault: Fault) -> None:
    scene = await Scene.new()
    begun = await admitted_in(scene, 2)
    before = scene.committer._pen.writer_id
    scene.database.faults.append(fault)
    ends = [scene.committer.submit(settlement(*each, 3)) for each in begun]
    uncertain = admission(hold_nanos=50)
    refusals = [scene.committer.submit(entry) for entry in (uncertain, note())]
    results = await asyncio.gather(*ends, *refusals, return_exceptions=True)
    await scene.committer.close(5.0)
    tables = await require_sound(scene.database)

    assert results[:2] == [Settled(6)] * 2
    assert [type(result) for result in results[2:]] == [BooksUnavailable] * 2
    assert (await states(scene))[uncertain.call_id] == "void"
    assert sum(row["committed_nanos"] for row in tables["budget_period"]) == 6
    assert scene.committer._pen.writer_id != before


@pytest.mark.parametrize("first", UNCERTAIN)
@pytest.mark.parametrize("second", UNCERTAIN)
@in_simulated_time
async def test_a_withdrawal_is_repeated_until_it_is_durable(first: Fault, second: Fault) -> None:
    scene = await Scene.new()
    scene.database.faults.extend([first, "", second, "", second])
    entry = admission()
    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(entry)
    assert await scene.committer.close(60.0) == 0

    assert await states(scene) == {entry.call_id: "void"}


@pytest.mark.parametrize("fault", UNCERTAIN)
@in_simulated_time
async def test_a_caller_that_left_an_uncertain_admission_pays_nothing(fault: Fault) -> None:
    scene = await Scene.new()
    scene.database.faults.append(fault)
    entry = admission()
    leaving = asyncio.create_task(Books(scene.database, scene.committer).admit(entry))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    await scene.committer.close(5.0)

    assert set((await states(scene)).values()) <= {"void"}


@in_simulated_time
async def test_an_admission_made_twice_is_refused_alone() -> None:
    scene = await Scene.new()
    first = admission()
    await scene.committer.submit(first)
    again = admission(call_id=first.call_id)
    entries = [note(), again, admission(), admission("ads"), note("ads")]
    results = await asyncio.gather(*map(scene.committer.submit, entries), return_exceptions=True)

    assert [isinstance(result, BooksUnavailable) for result in results] == [False, True, False, False, False]
    assert scene.told == []
    assert len(await states(scene)) == 3


@in_simulated_time
async def test_what_cannot_be_written_keeps_nobody_else_from_it_and_is_tried_again() -> None:
    scene = await Scene.new()
    begun = await admitted_in(scene, 3)
    poisoned = begun[1][0].call_id
    scene.database.refused.add(poisoned)
    results = await asyncio.gather(
        *(scene.committer.submit(settlement(*each, 3)) for each in begun),
        scene.committer.submit(note("ads")),
        return_exceptions=True,
    )
    assert [isinstance(result, BooksUnavailable) for result in results] == [False, True, False, False]
    assert scene.committer.waiting == 1
    scene.database.refused.clear()
    await asyncio.sleep(QUARANTINE_RETRY_S + 0.1)

    assert scene.committer.waiting == 0
    assert (await states(scene))[poisoned] == "settled"
    assert scene.told == []


@in_simulated_time
async def test_a_body_that_cannot_be_made_is_refused_alone() -> None:
    scene = await Scene.new()
    broken = admission()

    def fails(_: Period) -> bytes:
        raise ZeroDivisionError

    broken.intent = fails
    results = await asyncio.gather(
        *(scene.committer.submit(entry) for entry in (admission(), broken, admission())), return_exceptions=True
    )

    assert [type(result) for result in results] == [Admitted, BooksUnavailable, Admitted]
    assert len(await states(scene)) == 2


@pytest.mark.parametrize("waits", [True, False])
@in_simulated_time
async def test_a_hold_that_is_gone_is_told_whoever_waits(*, waits: bool) -> None:
    scene = await Scene.new()
    await scene.committer.submit(admission())  # so that there is a day
    period = scene.committer._periods["search"]
    entry = settlement(admission(), Admitted(period, START_US, 10), 3)
    with capture_logs() as logs:
        done = scene.committer.submit(entry)
        if waits:
            with pytest.raises(BooksUnavailable):
                await done
        else:
            done.cancel()
            await scene.committer.close(1.0)

    assert [line["event"] for line in logs] == ["hold missing"]
    await require_sound(scene.database)


@in_simulated_time
async def test_a_stop_without_a_database_says_what_was_not_written_and_lets_everybody_go() -> None:
    scene = await Scene.new()
    begun = await admitted_in(scene, 3)
    scene.database.is_down = True
    kept = [scene.committer.submit(settlement(*each, 3)) for each in begun]

    assert await scene.committer.close(2.0) == 3
    assert [type(future.exception()) for future in kept] == [BooksUnavailable] * 3
    assert scene.committer._running is None


@in_simulated_time
async def test_a_stop_in_the_middle_of_a_commit_that_hangs_lets_everybody_go() -> None:
    scene = await Scene.new()
    scene.database.gate.clear()
    futures = [scene.committer.submit(entry) for entry in (admission(), note())]
    while not scene.committer._under_way:
        await asyncio.sleep(0)
    futures += [scene.committer.submit(entry) for entry in (admission(), note())]

    assert await scene.committer.close(2.0) == 4
    assert [type(future.exception()) for future in futures] == [BooksUnavailable] * 4
    scene.database.gate.set()


@in_simulated_time
async def test_an_answer_is_withheld_for_so_long_and_its_record_is_kept() -> None:
    scene = await Scene.new()
    books = Books(scene.database, scene.committer)
    entry = admission()
    end = settlement(entry, await books.admit(entry), 3)
    scene.database.is_down = True
    started_s = asyncio.get_running_loop().time()
    with pytest.raises(BooksUnavailable):
        await books.settle(end)
    took_s = asyncio.get_running_loop().time() - started_s
    scene.database.is_down = False
    await asyncio.sleep(2.0)

    assert took_s == pytest.approx(5.0)
    assert await states(scene) == {entry.call_id: "settled"}


@pytest.mark.parametrize("fault", UNCERTAIN)
@in_simulated_time
async def test_a_kept_answer_stands_once_whatever_became_of_its_commit(fault: Fault) -> None:
    scene = await Scene.new()
    begun, admitted = (await admitted_in(scene, 1))[0]
    await scene.committer.submit(settlement(begun, admitted, 3))
    scene.database.faults.append(fault)
    await scene.committer.submit(correction(begun))
    tables = await require_sound(scene.database)

    assert [row["call_id"] for row in tables["audit"] if row["kind"] == "answer"] == [begun.call_id]
    assert {row["reason"]: row["calls"] for row in tables["usage_day"]} == {"": 0, "BOOKS_UNAVAILABLE": 1}

"""Whatever befalls the database, and whoever leaves: everybody is told, and what is told is true."""

import asyncio
import gc
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.books.books import Books
from service.books.committer import QUARANTINE_RETRY_S
from service.books.entries import Admission, Admitted, Settlement
from service.books.errors import BooksError
from tests.books.making import admission, note, settlement
from tests.books.oracle import require_sound
from tests.books.scripted import LOCK_TIMEOUT_S, Scene, in_simulated_time

TEAMS = st.sampled_from(("search", "ads"))
WORKS_S = st.sampled_from((0.0, 0.001, 0.003, 0.02, 0.5))
LEAVES_S = st.sampled_from((None, None, None, 0.0, 0.0005, 0.001, 0.0015, 0.002, 0.3))
CALLS = st.lists(st.tuples(TEAMS, WORKS_S, LEAVES_S), max_size=4)
MISHAPS = st.one_of(
    st.tuples(st.just("faults"), st.lists(st.sampled_from(("begin", "statement", "commit", "answer", "")), max_size=4)),
    st.sampled_from((("down", True), ("down", False), ("full", True), ("full", False), ("free",), ("nothing",))),
    st.tuples(st.just("locked"), TEAMS),
    st.tuples(st.just("refused"), st.integers(0, 10)),
)
PASSES_S = st.sampled_from((0.0, 0.0005, 0.001, 0.002, 0.01, 0.3, 6.0))
EVENTS = st.lists(st.tuples(CALLS, MISHAPS, PASSES_S), min_size=1, max_size=12)


class History:
    """Callers who call, stay or leave, and a database that does as it is told."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.books = Books(scene.database, scene.committer)
        self.callers: list[asyncio.Task[None]] = []
        self.admissions: list[Admission] = []
        self.told: dict[str, Any] = {}
        """What each caller got to know last of its attempt."""

    async def meet(self, event: Any) -> None:
        calls, mishap, passes_s = event
        for team, works_s, leaves_s in calls:
            caller = asyncio.create_task(self.call(admission(team, 10, 10_000), works_s))
            self.callers.append(caller)
            if leaves_s is not None:
                asyncio.get_running_loop().call_later(leaves_s, caller.cancel)
        self.befall(mishap)
        await asyncio.sleep(passes_s)

    def befall(self, mishap: Any) -> None:
        database = self.scene.database
        match mishap:
            case ("faults", faults):
                database.faults.extend(faults)
            case ("down", is_down):
                database.is_down = is_down
            case ("full", is_full):
                database.is_full = is_full
            case ("locked", team):
                database.locked.add(team)
            case ("free",):
                database.locked.clear()
            case ("refused", number) if number < len(self.admissions):
                database.refused.add(self.admissions[-1 - number].call_id)

    async def call(self, entry: Admission, works_s: float) -> None:
        """A call as the service makes it: admitted, at work, settled whoever waits, and an answer that is recorded."""
        self.admissions.append(entry)
        try:
            self.told[entry.call_id] = admitted = await self.books.admit(entry)
            end = settlement(entry, admitted, 3)
            try:
                await asyncio.sleep(works_s)
            except asyncio.CancelledError:
                self.books.submit(end)
                raise
            finally:
                self.told[entry.call_id] = end
            await self.books.settle(end)
            await self.books.record(note(entry.team))
        except BooksError as error:
            self.told.setdefault(entry.call_id, error)

    async def heal(self) -> None:
        database = self.scene.database
        database.is_down = database.is_full = False
        for refusing in (database.faults, database.locked, database.refused):
            refusing.clear()
        await asyncio.sleep(QUARANTINE_RETRY_S + 2.0)

    async def judge(self) -> None:
        tables = await require_sound(self.scene.database)
        rows = {row["call_id"]: row for row in tables["call_hold"]}
        for entry in self.admissions:
            told, row = self.told.get(entry.call_id), rows.get(entry.call_id, {"state": "none"})
            if isinstance(told, Settlement):
                assert (row["state"], row["charge_nanos"]) == ("settled", 3)
            else:  # refused, or left before it was told
                assert not isinstance(told, Admitted)
                assert row["state"] in {"none", "void"}


async def live(events: list[Any]) -> History:
    history = History(await Scene.new())
    for event in events:
        await history.meet(event)
    await history.heal()
    ended, waiting = await asyncio.wait(history.callers) if history.callers else (set(), set())
    assert not waiting
    for caller in ended:
        assert caller.cancelled() or caller.exception() is None
    assert history.scene.committer.waiting == 0
    assert history.scene.committer._running is None
    await history.judge()
    return history


@settings(deadline=None)
@given(EVENTS)
def test_everybody_is_told_and_what_is_told_is_true(events: list[Any]) -> None:
    @in_simulated_time
    async def run() -> None:
        await live(events)

    with capture_logs():  # they are many
        run()


@settings(deadline=None)
@given(EVENTS)
def test_a_stop_at_any_time_lets_everybody_go(events: list[Any]) -> None:
    @in_simulated_time
    async def run() -> None:
        history = History(await Scene.new())
        for event in events:
            await history.meet(event)
        await history.scene.committer.close(1.0)
        if history.callers:
            await asyncio.wait(history.callers)
        history.scene.database.is_down = False
        await asyncio.sleep(2 * LOCK_TIMEOUT_S)  # a transaction once begun runs to its end, whoever stops waiting
        await require_sound(history.scene.database)

    with capture_logs():
        run()


def test_nothing_is_left_in_memory_of_a_long_outage() -> None:
    @in_simulated_time
    async def run() -> None:
        calls = [("memory", 0.01, None)] * 50
        events: list[Any] = []
        for fault in ("begin", "statement", "commit", "answer"):
            events += [(calls, ("faults", [fault, ""] * 3), 0.002), (calls, ("down", True), 10.0)]
            events += [(calls, ("down", False), 2.0)]
        await live(events)

    before = {id(each) for each in _entries()}
    run()

    assert [each for each in _entries() if id(each) not in before] == []


def _entries() -> list[object]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Admission | Settlement)]

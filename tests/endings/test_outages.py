"""Calls while the database fails: what was sent is charged in the end, and nobody is told what is not on record."""

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.books.books import ANSWER_WAIT_S
from tests.books.scripted import Fault, in_simulated_time
from tests.endings.judge import Kept, judged, require_closed
from tests.endings.service import BILLED_NANOS, Made, Service, Step
from tests.endings.test_endings import AWAY, BROKEN, BUSY, CUT, FAILED, KEY_REFUSED, LIMITED, NO_BILL

FAULTS: tuple[Fault, ...] = ("begin", "statement", "commit", "answer")
UNAVAILABLE = ("UNAVAILABLE", "BOOKS_UNAVAILABLE")


def require_true(made: Made, kept: Kept) -> None:
    """A call that had an attempt has its end on record.

    Of one that had none nothing may be there; or the refusal that its caller did not get because nobody knew whether
    its record is durable.
    """
    if made.call.on_record and set(kept.states) != {"void"}:
        require_closed(made, kept)
    elif made.got == UNAVAILABLE:
        assert len(kept.closings) <= 1
    elif kept.closings:
        require_closed(made, kept)
    else:
        assert made.got in {("CANCELLED", ""), ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("steps", [[], [AWAY], [BUSY], [CUT]], ids=["answered", "away", "busy", "cut"])
@in_simulated_time
async def test_whichever_transaction_fails_what_was_sent_is_charged(
    steps: list[Step], number: int, fault: Fault
) -> None:
    service = await Service.new(*steps)
    service.database.faults.extend([*[""] * number, fault])  # type: ignore[list-item]
    made = service.begin()
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_true(made, kept)


@pytest.mark.parametrize("streams", [False, True], ids=["Chat", "ChatStream"])
@in_simulated_time
async def test_an_answer_whose_charge_is_not_durable_in_time_is_withheld_and_charged(*, streams: bool) -> None:
    service = await Service.new(Step(works_s=0.5))
    loop = asyncio.get_running_loop()
    loop.call_later(0.3, setattr, service.database, "is_down", True)
    loop.call_later(20.0, setattr, service.database, "is_down", False)
    made = service.begin(streams=streams)
    await asyncio.wait({made.task})
    took_s = loop.time()
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    assert made.got == UNAVAILABLE
    assert took_s == pytest.approx(0.5 + ANSWER_WAIT_S, abs=0.01)
    assert (kept.states, kept.nanos) == (["settled"], BILLED_NANOS)
    assert (kept.closings, kept.corrections) == ([("OK", "")], [UNAVAILABLE])


@in_simulated_time
async def test_a_call_whose_second_attempt_meets_no_books_has_an_end() -> None:
    service = await Service.new(LIMITED)
    loop = asyncio.get_running_loop()
    loop.call_later(0.2, setattr, service.database, "is_down", True)
    loop.call_later(0.21, service.begin)  # finds out
    loop.call_later(5.0, setattr, service.database, "is_down", False)
    made = service.begin()
    await asyncio.sleep(0.3)
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    assert made.got == UNAVAILABLE
    assert (kept.states, kept.closings) == (["settled"], [UNAVAILABLE])


@in_simulated_time
async def test_without_books_whoever_is_nobody_is_told_so_and_no_more() -> None:
    service = await Service.new()
    service.database.is_down = True
    made = service.begin(known=False)
    await asyncio.wait({made.task})
    service.database.is_down = False
    await service.ended()

    assert made.got == ("UNAUTHENTICATED", "CREDENTIAL_MISSING")


STEPS = st.sampled_from([Step(), Step(works_s=1.0), AWAY, BUSY, LIMITED, KEY_REFUSED, BROKEN, CUT, NO_BILL, FAILED])
LEAVES = st.one_of(
    st.none(),
    st.none(),
    st.tuples(
        st.sampled_from(("cancel", "deadline")), st.sampled_from((0.0005, 0.0015, 0.002, 0.012, 0.0125, 0.2, 3.0))
    ),
)
CALLS = st.lists(st.tuples(st.lists(STEPS, max_size=3), LEAVES, st.booleans()), max_size=3)
MISHAPS = st.one_of(
    st.tuples(st.just("faults"), st.lists(st.sampled_from((*FAULTS, "")), max_size=4)),
    st.tuples(st.just("turns"), st.lists(st.sampled_from((0.0, 0.002, 0.4)), max_size=4)),
    st.sampled_from((("down", True), ("down", False), ("full", True), ("full", False), ("nothing",), ("nothing",))),
)
EVENTS = st.lists(
    st.tuples(CALLS, MISHAPS, st.sampled_from((0.0, 0.001, 0.002, 0.013, 0.4, 7.0))), min_size=1, max_size=6
)


def befall(service: Service, mishap: Any) -> None:
    match mishap:
        case ("faults", faults):
            service.database.faults.extend(faults)
        case ("turns", turns_s):
            service.client.turns_s.extend(turns_s)
        case ("down", is_down):
            service.database.is_down = is_down
        case ("full", is_full):
            service.database.is_full = is_full


async def live(events: list[Any]) -> None:
    service = await Service.new()
    for calls, mishap, passes_s in events:
        for steps, leaves, streams in calls:
            service.cohere.steps.extend(steps)
            how, after_s = leaves or ("", 60.0)
            made = service.begin(streams=streams, timeout_s=after_s if how == "deadline" else 60.0)
            if how == "cancel":
                asyncio.get_running_loop().call_later(after_s, made.task.cancel)
        befall(service, mishap)
        await asyncio.sleep(passes_s)
        service.give_notice()
    service.database.is_down = service.database.is_full = False
    if service.made:
        await service.ended()
    for call_id, kept in (await judged(service)).items():
        (made,) = (made for made in service.made if made.call.call_id == call_id)
        require_true(made, kept)


LEFT_IN_THE_QUEUE = [
    ([([], None, False)], ("nothing",), 0.0),
    ([], ("faults", [""]), 0.0),
    ([([], ("cancel", 0.0005), False)], ("faults", ["answer"]), 0.0),
]
"""A caller leaves before its hold is written, and nobody knows whether the record of that is."""


@settings(deadline=None)
@given(EVENTS)
@example(LEFT_IN_THE_QUEUE)
def test_whatever_befalls_the_database_every_call_has_the_end_that_its_caller_got(events: list[Any]) -> None:
    with capture_logs():  # they are many
        in_simulated_time(live)(events)

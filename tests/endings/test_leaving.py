"""Callers that leave at any instant, by cancel or by deadline: what was sent is paid for, and what was not is not."""

import asyncio

import pytest
from google.protobuf.message import Message

from tests.books.scripted import in_simulated_time
from tests.endings.judge import Kept, judged, require_closed
from tests.endings.service import BILLED_NANOS, DRAIN_S, HOLD_NANOS, Made, Peer, Service, Step
from tests.endings.test_endings import AWAY, CUT, DEAR, LIMITED, NO_BILL

STEP_S = 0.0005
HOW = ("cancel", "deadline")


class Gone(Peer):
    """A caller of whom gRPC says by failing writes alone that it is gone."""

    async def write(self, _: Message) -> None:
        raise RuntimeError("the RPC is over")


async def left(service: Service, after_s: float, *, how: str, streams: bool = False, reads: bool = True) -> Made:
    """A call whose caller leaves after so long, at the latest: it may have ended before."""
    timeout_s = after_s if how == "deadline" else 60.0
    made = service.begin(streams=streams, timeout_s=timeout_s, peer=Peer(reads=reads))
    if how == "cancel":
        asyncio.get_running_loop().call_later(after_s, made.task.cancel)
    await service.ended()
    return made


async def kept_of(service: Service, made: Made) -> Kept:
    kept = (await judged(service))[made.call.call_id]
    require_closed(made, kept)
    return kept


@pytest.mark.parametrize("streams", [False, True], ids=["Chat", "ChatStream"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("instant", range(32))
@in_simulated_time
async def test_a_caller_that_cancels_at_any_instant_is_closed_once(instant: int, turns: int, *, streams: bool) -> None:
    """Through the hold, the connection, the work and the settlement, and some turns of the loop after each instant."""
    service = await Service.new()
    made = service.begin(streams=streams)
    await asyncio.sleep(instant * STEP_S)
    for _ in range(turns):
        await asyncio.sleep(0)
    has_ended = made.task.done()
    made.task.cancel()
    await service.ended()
    kept = await kept_of(service, made)

    if has_ended:
        assert made.got == ("OK", "")
    elif any(service.cohere.sent.values()):
        assert (kept.states, kept.nanos) == (["settled"], BILLED_NANOS)
    else:
        assert set(kept.states) <= {"void"}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("instant", range(0, 60, 2))
@in_simulated_time
async def test_a_caller_that_leaves_between_two_attempts_has_one_end(instant: int, how: str) -> None:
    service = await Service.new(AWAY, LIMITED)
    made = await left(service, 0.101 + instant * 0.05, how=how)
    kept = await kept_of(service, made)

    assert kept.nanos in {0, BILLED_NANOS}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("streams", [False, True], ids=["Chat", "ChatStream"])
@in_simulated_time
async def test_what_runs_on_for_too_long_is_charged_at_its_hold(how: str, *, streams: bool) -> None:
    service = await Service.new(Step(works_s=10 * DRAIN_S))
    made = await left(service, 1.0, how=how, streams=streams)
    kept = await kept_of(service, made)

    assert (kept.states, kept.nanos) == (["forfeited"], HOLD_NANOS)
    assert kept.closings == [tuple(made.call.left or ())]


@in_simulated_time
async def test_a_dear_attempt_is_told_of_though_nobody_waits_for_it() -> None:
    service = await Service.new(Step(works_s=10 * DRAIN_S), dear_nanos=HOLD_NANOS)
    made = await left(service, 1.0, how="cancel")

    assert (await kept_of(service, made)).nanos == HOLD_NANOS
    assert service.alerted == ["call_cost"]


@pytest.mark.parametrize("step", [CUT, NO_BILL, DEAR])
@pytest.mark.parametrize("how", HOW)
@in_simulated_time
async def test_how_an_attempt_ends_without_its_caller_decides_its_cost_and_not_the_calls_end(
    step: Step, how: str
) -> None:
    service = await Service.new(Step(step.error, works_s=2.0, billed=step.billed))
    made = await left(service, 1.0, how=how)
    kept = await kept_of(service, made)

    assert kept.nanos == (350_000_000 if step is DEAR else HOLD_NANOS)
    assert made.got == (("CANCELLED", "") if how == "cancel" else ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"))


@in_simulated_time
async def test_nobody_is_tried_again_for_who_has_left() -> None:
    service = await Service.new(Step(LIMITED.error, works_s=2.0), Step())
    made = await left(service, 1.0, how="cancel")
    kept = await kept_of(service, made)

    assert (kept.states, kept.nanos) == (["settled"], 0)
    assert len(service.cohere.steps) == 1


@pytest.mark.parametrize("how", HOW)
@in_simulated_time
async def test_a_caller_that_stopped_reading_pays_what_cohere_billed(how: str) -> None:
    service = await Service.new()
    made = await left(service, 1.0, how=how, streams=True, reads=False)
    kept = await kept_of(service, made)

    assert (kept.states, kept.nanos) == (["settled"], BILLED_NANOS)


@pytest.mark.parametrize("how", HOW)
@in_simulated_time
async def test_a_caller_that_leaves_while_the_hold_is_written_pays_nothing(how: str) -> None:
    service = await Service.new()
    service.database.gate.clear()
    asyncio.get_running_loop().call_later(2.0, service.database.gate.set)
    made = await left(service, 1.0, how=how)
    kept = await kept_of(service, made)

    assert (kept.states, kept.nanos) == (["void"], 0)
    assert not service.cohere.sent


@pytest.mark.parametrize("how", HOW)
@in_simulated_time
async def test_a_caller_that_leaves_while_its_charge_is_written_has_one_end(how: str) -> None:
    service = await Service.new(Step(works_s=0.5))
    loop = asyncio.get_running_loop()
    loop.call_later(0.3, service.database.gate.clear)
    loop.call_later(2.0, service.database.gate.set)
    made = await left(service, 1.0, how=how)
    kept = await kept_of(service, made)

    assert (kept.states, kept.nanos) == (["settled"], BILLED_NANOS)
    assert kept.corrections == [tuple(made.got or ())]


@in_simulated_time
async def test_a_stop_ends_what_still_runs_without_its_caller() -> None:
    service = await Service.new(Step(works_s=100.0))
    made = service.begin()
    await asyncio.sleep(0.5)
    made.task.cancel()
    await asyncio.sleep(0.1)
    await service.drain.close(1.0)
    await service.ended()
    kept = await kept_of(service, made)

    assert (kept.states, kept.nanos) == (["forfeited"], HOLD_NANOS)


@pytest.mark.parametrize("step", [Step(), CUT, NO_BILL, LIMITED, Step(works_s=10 * DRAIN_S)])
@in_simulated_time
async def test_a_stream_whose_peer_is_gone_has_an_end_whoever_is_told_of_it(step: Step) -> None:
    service = await Service.new(step, Step())
    made = service.begin(streams=True, peer=Gone(), timeout_s=20.0)
    await service.ended()
    kept = await kept_of(service, made)

    assert len(kept.states) == 1

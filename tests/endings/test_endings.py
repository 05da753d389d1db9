"""However a call ends, one record closes it, it says what the caller got, and each attempt is charged as it must be."""

import asyncio
from typing import Any

import pytest

from clients.errors import Billing
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.chat_pb2 import ChatRequest
from service.attempts import ATTEMPTS_MAX
from service.money import nanos_of
from tests.books.scripted import in_simulated_time
from tests.endings.judge import judged, require_closed
from tests.endings.service import BILLED_NANOS, HOLD_NANOS, OVERRUN, REQUEST, Service, Step, upstream

AWAY = Step(upstream(reasons.ERROR_REASON_COHERE_UNAVAILABLE, Billing.NONE), sends=False)
BUSY = Step(upstream(reasons.ERROR_REASON_COHERE_UNAVAILABLE, Billing.NONE, 503))
LIMITED = Step(upstream(reasons.ERROR_REASON_COHERE_RATE_LIMITED, Billing.NONE, 429, retry_after_s=0.5))
KEY_REFUSED = Step(upstream(reasons.ERROR_REASON_COHERE_KEY_REJECTED, Billing.NONE, 401))
REJECTED = Step(upstream(reasons.ERROR_REASON_COHERE_REQUEST_REJECTED, Billing.NONE, 400))
BROKEN = Step(upstream(reasons.ERROR_REASON_COHERE_INTERNAL, Billing.NONE, 500))
CUT = Step(upstream(reasons.ERROR_REASON_COHERE_CONNECTION_LOST, Billing.UNKNOWN))
UNFORESEEN = Step(ZeroDivisionError())
UNFORESEEN_BEFORE = Step(ZeroDivisionError(), sends=False)
NO_BILL = Step(billed=None)
FAILED = Step(finish_reason="ERROR")
FAILED_NO_BILL = Step(finish_reason="ERROR", billed=None)
DEAR = Step(billed=OVERRUN)
OVERRUN_NANOS = 100_000 * 2_500 + 10_000 * 10_000

OK, GENERATION_FAILED = ("OK", ""), ("ABORTED", "COHERE_GENERATION_FAILED")
UNAVAILABLE = ("UNAVAILABLE", "COHERE_UNAVAILABLE")
ENDINGS: dict[str, tuple[list[Step], tuple[str, str], list[str], int]] = {
    "answered": ([], OK, ["settled"], BILLED_NANOS),
    "answered at the second attempt": ([AWAY], OK, ["void", "settled"], BILLED_NANOS),
    "answered at the third attempt": ([BUSY, LIMITED], OK, ["settled"] * 3, BILLED_NANOS),
    "answered with a renewed key": ([KEY_REFUSED], OK, ["settled"] * 2, BILLED_NANOS),
    "never reached": ([AWAY] * 3, UNAVAILABLE, ["void"] * 3, 0),
    "always busy": ([BUSY] * 3, UNAVAILABLE, ["settled"] * 3, 0),
    "only refused keys": ([KEY_REFUSED] * 3, ("FAILED_PRECONDITION", "COHERE_KEY_REJECTED"), ["settled"] * 3, 0),
    "rejected": ([REJECTED], ("INVALID_ARGUMENT", "COHERE_REQUEST_REJECTED"), ["settled"], 0),
    "broken": ([BROKEN], ("INTERNAL", "COHERE_INTERNAL"), ["settled"], 0),
    "cut off": ([CUT], ("UNAVAILABLE", "COHERE_CONNECTION_LOST"), ["forfeited"], HOLD_NANOS),
    "cut off at the second attempt": (
        [AWAY, CUT], ("UNAVAILABLE", "COHERE_CONNECTION_LOST"), ["void", "forfeited"], HOLD_NANOS,
    ),
    "a fault of ours": ([UNFORESEEN], ("INTERNAL", ""), ["forfeited"], HOLD_NANOS),
    "a fault of ours before anything was sent": ([UNFORESEEN_BEFORE], ("INTERNAL", ""), ["void"], 0),
    "an answer without a bill": ([NO_BILL], OK, ["forfeited"], HOLD_NANOS),
    "a generation that failed": ([FAILED], GENERATION_FAILED, ["settled"], BILLED_NANOS),
    "a generation that failed without a bill": ([FAILED_NO_BILL], GENERATION_FAILED, ["forfeited"], HOLD_NANOS),
    "a bill above the hold": ([DEAR], OK, ["settled"], OVERRUN_NANOS),
}  # fmt: skip


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "in turn"])
@pytest.mark.parametrize("streams", [False, True], ids=["Chat", "ChatStream"])
@pytest.mark.parametrize("ending", ENDINGS)
@in_simulated_time
async def test_a_call_is_closed_once_by_what_its_caller_got(ending: str, *, streams: bool, waits: bool) -> None:
    steps, got, states, nanos = ENDINGS[ending]
    service = await Service.new(*steps)
    service.client.turns_s.extend([0.2] * 3 if waits else [])
    made = service.begin(streams=streams)
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert (made.got, kept.corrections) == (got, [])
    assert (kept.states, kept.nanos) == (states, nanos)
    assert (made.call.cost_nanos, made.call.attempts) == (nanos, len(states))
    if got == OK and not streams:
        assert nanos_of(made.response.receipt.cost) == nanos
        assert nanos_of(made.response.receipt.budget_remaining) == max(0, 100 * HOLD_NANOS - nanos)
        assert made.response.receipt.call_id == made.call.call_id


NO_TURN: dict[str, tuple[list[Step], list[float | None], tuple[str, str], list[str]]] = {
    "the first": ([], [None], ("RESOURCE_EXHAUSTED", "UPSTREAM_BUSY"), []),
    "the second": ([AWAY], [0.0, None], UNAVAILABLE, ["void"]),
    "the third": ([AWAY, BUSY], [0.2, 0.2, None], UNAVAILABLE, ["void", "settled"]),
}


@pytest.mark.parametrize("attempt", NO_TURN)
@in_simulated_time
async def test_a_call_whose_attempt_gets_no_turn_ends_as_the_attempt_before(attempt: str) -> None:
    steps, turns_s, got, states = NO_TURN[attempt]
    service = await Service.new(*steps)
    service.client.turns_s.extend(turns_s)
    made = service.begin()
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert (made.got, kept.states, kept.nanos) == (got, states, 0)


STRICT: dict[str, tuple[list[Step], list[str], int]] = {
    "broken": ([BROKEN], ["forfeited"], HOLD_NANOS),
    "busy, then answered": ([BUSY], ["forfeited", "settled"], HOLD_NANOS + BILLED_NANOS),
    "limited, then answered": ([LIMITED], ["settled", "settled"], BILLED_NANOS),
    "rejected": ([REJECTED], ["settled"], 0),
    "never reached": ([AWAY] * 3, ["void"] * 3, 0),
}


@pytest.mark.parametrize("ending", STRICT)
@in_simulated_time
async def test_where_failures_are_charged_the_receipt_has_all_of_them(ending: str) -> None:
    steps, states, nanos = STRICT[ending]
    service = await Service.new(*steps, strict=True)
    made = service.begin()
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert (kept.states, kept.nanos, made.call.cost_nanos) == (states, nanos, nanos)


@in_simulated_time
async def test_a_bill_above_the_hold_is_told_and_so_is_a_budget_that_it_spends() -> None:
    service = await Service.new(DEAR, limit_nanos=2 * HOLD_NANOS)
    service.begin()
    await service.ended()

    assert service.alerted == ["overrun", "budget_100"]


REFUSALS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "no credential": ({"known": False}, ("UNAUTHENTICATED", "CREDENTIAL_MISSING")),
    "a request that is not valid": ({"request": ChatRequest()}, ("INVALID_ARGUMENT", "REQUEST_INVALID")),
    "a model that is not the team's": (
        {"request": ChatRequest(model="command-x", messages=REQUEST.messages)},
        ("PERMISSION_DENIED", "MODEL_NOT_ALLOWED"),
    ),
    "too little time": ({"timeout_s": 0.05}, ("DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT")),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@in_simulated_time
async def test_a_refused_call_has_one_record_and_no_attempt(refusal: str) -> None:
    how, got = REFUSALS[refusal]
    service = await Service.new()
    made = service.begin(**how)
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert (made.got, kept.states) == (got, [])


@pytest.mark.parametrize(
    ("limit_nanos", "reason"), [(HOLD_NANOS - 1, "HOLD_EXCEEDS_LIMIT"), (HOLD_NANOS, "BUDGET_IN_FLIGHT")]
)
@in_simulated_time
async def test_what_the_budget_refuses_has_one_record_and_no_attempt(limit_nanos: int, reason: str) -> None:
    service = await Service.new(Step(works_s=1.0), limit_nanos=limit_nanos)
    service.begin()
    await asyncio.sleep(0.1)
    refused = service.begin()
    await service.ended()
    kept = (await judged(service))[refused.call.call_id]

    require_closed(refused, kept)
    assert refused.got is not None
    assert (refused.got.reason, kept.states) == (reason, [])
    assert refused.call.attempts == 0


@in_simulated_time
async def test_a_call_whose_second_attempt_is_not_paid_for_ends_by_that() -> None:
    service = await Service.new(LIMITED, limit_nanos=HOLD_NANOS)
    made = service.begin()
    await asyncio.sleep(0.3)  # in the wait before the second one
    service.budget = service.budget.__class__(HOLD_NANOS - 1, service.budget.zone)
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert made.got == ("FAILED_PRECONDITION", "HOLD_EXCEEDS_LIMIT")
    assert kept.states == ["settled"]


@in_simulated_time
async def test_a_wait_that_takes_all_the_time_ends_the_call_by_its_deadline() -> None:
    service = await Service.new(LIMITED, LIMITED)
    made = service.begin(timeout_s=0.7)
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert len(kept.states) < ATTEMPTS_MAX


@in_simulated_time
async def test_a_hold_that_takes_all_the_time_is_given_back() -> None:
    service = await Service.new()
    service.database.gate.clear()
    made = service.begin(timeout_s=0.2)
    asyncio.get_running_loop().call_later(0.15, service.database.gate.set)
    await service.ended()
    kept = (await judged(service))[made.call.call_id]

    require_closed(made, kept)
    assert made.got == ("DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT")
    assert (kept.states, kept.nanos) == (["void"], 0)

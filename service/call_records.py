"""What a call leaves in the books: the bodies of its records, and what each counts for in the rollups."""

import time
from dataclasses import dataclass
from typing import Any

import orjson

from cohort.v1.usage_pb2 import BilledUnits
from service.books.entries import Admission, Admitted, Note, Settlement, State
from service.books.period import Period
from service.books.records import Record
from service.books.usage import NOTHING, UNITS, Units, Usage
from service.call import Call
from service.identity.principal import Principal
from service.pricing.cost import UNITS_MAX
from service.quote import Quote
from service.recordable import recordable
from service.snapshot import BudgetTerms
from service.status import OK, Outcome


@dataclass(slots=True)
class End:
    """How an attempt ended."""

    state: State
    charge_nanos: int | None
    """None if it is not known."""
    outcome: Outcome
    """What the caller gets, if the call ends with this attempt."""
    closes: bool
    """No attempt follows, and no other record of the call."""
    units: Units = NOTHING


def units_of(billed: BilledUnits | None) -> Units:
    """Billed units as whole numbers; what is no count of anything is left out, or sums of it would pass 64 bits."""
    if billed is None:
        return NOTHING
    return Units(**{field.name: int(count) for field, count in billed.ListFields() if 0 <= count <= UNITS_MAX})


def admission_of(call: Call, quote: Quote, budget: BudgetTerms) -> Admission:
    """The hold and the intent of the attempt that *call* is about to make."""
    who = call.caller
    attempt = call.attempts
    facts: dict[str, Any] = {
        "attempt": attempt, "rpc": call.rpc, "principal": who.name, "method": who.method,
        "credential_id": who.credential_id, "peer": call.peer, "model": quote.model, "endpoint": quote.endpoint,
        "hold_nanos": quote.hold_nanos, "price_version": quote.price_version, "cohere_key_version": call.key_version,
        "request": call.content, **_acting(who),
    }  # fmt: skip
    if call.certificate:
        facts["certificate"] = call.certificate

    def intent(period: Period) -> bytes:
        return orjson.dumps({**facts, "period_start_us": period.start_us})

    def abandoned(admitted: Admitted) -> bytes:
        end = End("void", 0, Outcome("CANCELLED", ""), closes=False)
        return _outcome_body(quote, admitted, attempt, end, credential_id=who.credential_id)

    return Admission(
        call.caller.team, call.call_id, attempt, budget.limit_nanos, budget.zone, quote.hold_nanos, quote.price_version,
        quote.endpoint, quote.model, who.credential_id, intent, abandoned,
    )  # fmt: skip


def settlement_of(call: Call, quote: Quote, admitted: Admitted, end: End) -> Settlement:
    """The end of the attempt that *call* is making. Counts the call if *end* closes it."""
    team, credential_id = call.caller.team, call.caller.credential_id
    facts: dict[str, Any] = {"cohere_status": call.upstream_status}
    if call.answer_content is not None:
        facts["answer"] = call.answer_content
    if call.debug_trace_id:
        facts["debug_trace_id"] = recordable(call.debug_trace_id)
    if call.upstream_fault:
        facts["upstream_fault"] = call.upstream_fault
    if end.closes:
        call.closed = end.outcome
    body = _outcome_body(quote, admitted, call.attempts, end, credential_id=credential_id, **facts)
    usage = Usage(
        quote.endpoint, quote.model, credential_id, _reason(end.outcome) if end.closes else "",
        calls=int(end.closes), attempts=1, units=end.units,
    )  # fmt: skip
    record = Record("outcome", call.call_id, team, body)
    return Settlement(team, call.call_id, call.attempts, admitted, end.state, end.charge_nanos, record, usage)


def answer_of(call: Call, outcome: Outcome) -> Note:
    """The record of a call that no outcome closes: a refusal, a report, an operator's change."""
    usage = usage_of(call, outcome)
    if call.closed is not None:  # with another end than its caller got after all
        before = Usage(usage.endpoint, usage.model, usage.credential_id, _reason(call.closed), calls=-1, attempts=0)
        return _answer(call, outcome, (before, usage), corrects=True)
    return _answer(call, outcome, (usage,), corrects=False)


def usage_of(call: Call, outcome: Outcome) -> Usage:
    """What a call without an outcome counts for. Names come from the policy, never from a caller's text."""
    who = call.principal
    known = who is not None and call.model in call.snapshot.policy_of(who.team).models
    credential_id = who.credential_id if who else ""
    return Usage(call.endpoint, call.model if known else "", credential_id, _reason(outcome), calls=1, attempts=0)


def _answer(call: Call, outcome: Outcome, usages: tuple[Usage, ...], *, corrects: bool) -> Note:
    who = call.principal
    facts: dict[str, Any] = {"rpc": call.rpc, "code": outcome.code, "peer": call.peer}
    if outcome.reason:
        facts["reason"] = outcome.reason
    if who is not None:
        facts |= {"principal": who.name, "method": who.method, "credential_id": who.credential_id, **_acting(who)}
    if call.credential_problem:
        facts["credential_problem"] = call.credential_problem
    if call.certificate:
        facts["certificate"] = call.certificate
    if call.endpoint:
        facts["endpoint"] = call.endpoint
    if call.model:
        facts["model"] = recordable(call.model)
    if corrects:
        facts["corrects"] = True
    facts["usages"] = [[u.endpoint, u.model, u.credential_id, u.reason, u.calls] for u in usages]
    facts["duration_us"] = (time.perf_counter_ns() - call.started_ns) // 1000
    team = who.team if who else ""
    record = Record("answer", call.call_id, team, orjson.dumps(facts))
    if who is None:
        return Note("", record, usages)
    zone = call.snapshot.budget_of(team).zone
    return Note(team, record, usages, zone, keep=corrects or call.on_record, corrects=corrects)


def _acting(who: Principal) -> dict[str, Any]:
    """Who acts for a caller; few have somebody who does."""
    return {"actors": who.actors} if who.actors else {}


def _outcome_body(quote: Quote, admitted: Admitted, attempt: int, end: End, **facts: Any) -> bytes:
    body: dict[str, Any] = {
        "attempt": attempt, "state": end.state, "code": end.outcome.code, "last": end.closes,
        "hold_nanos": quote.hold_nanos, "model": quote.model, "endpoint": quote.endpoint,
        "period_start_us": admitted.period.start_us, "admitted_at_us": admitted.at_us,
    }  # fmt: skip
    if end.outcome.reason:
        body["reason"] = end.outcome.reason
    if end.charge_nanos is not None:
        body["charge_nanos"] = end.charge_nanos
    if end.units is not NOTHING:
        body["billed_units"] = {name: count for name, count in zip(UNITS, end.units, strict=True) if count}
    return orjson.dumps(body | facts)


def _reason(outcome: Outcome) -> str:
    """How the rollups name an end: "" for OK, else its reason, or its code where it has none."""
    return "" if outcome == OK else outcome.reason or outcome.code

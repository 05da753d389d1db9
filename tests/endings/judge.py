"""Holds the books to what callers got and what was sent: each call closed once, each attempt charged as it must be."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.books.oracle import Row, Tables, require_sound
from tests.endings.service import HOLD_NANOS, Made, Service


@dataclass
class Kept:
    """What the books hold of one call.

    Attributes:
        states: Of its attempts, in order.
        closings: How its records say that it ended, each as code and reason; one corrected is not among them.
        corrections: The same of answers that correct an outcome.
        reasons: By reason, how many calls it counts as; "" is OK.
        nanos: What its attempts take of the budget.
    """

    states: list[str] = field(default_factory=list)
    closings: list[tuple[str, str]] = field(default_factory=list)
    corrections: list[tuple[str, str]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    nanos: int = 0

    @property
    def ends(self) -> list[tuple[str, str]]:
        """What stands in the end."""
        return self.corrections or self.closings


async def judged(service: Service) -> dict[str, Kept]:
    """Holds the books to their invariants, and each call's attempts to what was sent; gives the calls by their ids."""
    tables = await require_sound(service.database)
    kept = {made.call.call_id: Kept() for made in service.made}
    for row in sorted(tables["call_hold"], key=lambda row: row["attempt"]):
        _judge_attempt(row, was_sent=service.cohere.sent.get((row["call_id"], row["attempt"]), False))
        if row["price_version"]:
            call = kept[row["call_id"]]
            call.states.append(row["state"])
            call.nanos += row["hold_nanos"] if row["charge_nanos"] is None else row["charge_nanos"]
    for row in tables["audit"]:
        if row["call_id"]:
            _take_record(kept[row["call_id"]], row["kind"], orjson.loads(row["body"]))
    _judge_sums(tables, kept)
    return kept


def require_closed(made: Made, kept: Kept) -> None:
    """A call has one end on record, and it is what its caller got."""
    assert made.got is not None
    assert len(kept.closings) == 1
    assert len(kept.corrections) <= 1
    assert kept.ends == [tuple(made.call.left or made.got)]


def _judge_attempt(row: Row, *, was_sent: bool) -> None:
    """Void only if nothing was sent; and what was sent is charged, or proved free by an answer."""
    assert row["state"] != "open", row
    if row["state"] == "void":
        assert not was_sent, row
    else:
        assert was_sent, row
    if row["price_version"]:
        assert row["hold_nanos"] == HOLD_NANOS


def _take_record(call: Kept, kind: str, body: dict[str, Any]) -> None:
    end = (body.get("code", ""), body.get("reason", ""))
    if kind == "outcome" and body["last"]:
        call.closings.append(end)
        call.reasons[_name(end)] += 1
    elif kind == "answer":
        (call.corrections if body.get("corrects") else call.closings).append(end)
        for *_, reason, count in body["usages"]:
            call.reasons[reason] += count


def _name(end: tuple[str, str]) -> str:
    code, reason = end
    return "" if code == "OK" else reason or code


def _judge_sums(tables: Tables, kept: dict[str, Kept]) -> None:
    """The days' sums are those of the calls; what floods count beside them is told by notices."""
    reasons: Counter[str] = Counter()
    for call in kept.values():
        reasons.update(call.reasons)
        assert {_name(end): 1 for end in call.ends} == {name: count for name, count in call.reasons.items() if count}
    for row in tables["audit"]:
        if row["kind"] == "notice":
            reasons.update(orjson.loads(row["body"]).get("counts", {}))
    told: Counter[str] = Counter()
    for row in tables["usage_day"]:
        told[row["reason"]] += row["calls"]
    assert {name: count for name, count in told.items() if count} == {n: c for n, c in reasons.items() if c}
    committed = sum(row["committed_nanos"] for row in tables["budget_period"])
    assert committed == sum(call.nanos for call in kept.values())

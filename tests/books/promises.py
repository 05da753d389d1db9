"""What the books promise of each step of a history, beside what is true of them at any time (`oracle`).

I1 no day's bill above its limit, I2 nothing is held above it, I3 what is committed is the sum of its parts, I4 an
intent before every attempt, I5 an attempt ends once, I6 at the end nothing is open, I7 committed covers the bill,
I8 committed falls by ends and adjustments alone, I9 a day is moved by its own attempts alone, I10 a budget that has
room is not called spent, I11 what is repeated changes nothing, I12 the rollups are the sum of the records.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.books.entries import Admission, Entry
from tests.books.model import Key, Model, Told
from tests.books.oracle import Row, Tables


def require_limits(model: Model, entries: Sequence[Entry], told: Sequence[Told]) -> None:
    """I2 and I10, just after a transaction."""
    taken: Counter[tuple[str, int]] = Counter()
    for entry, what in zip(entries, told, strict=True):
        if isinstance(entry, Admission) and what[0] == "admitted":
            taken[entry.team, what[1]] = max(taken[entry.team, what[1]], entry.limit_nanos)
        elif isinstance(entry, Admission) and what[0] == "BudgetSpent":
            day = model.in_force(entry.team, entry.zone)
            assert entry.limit_nanos - day.committed_nanos < entry.hold_nanos
    for (name, start_us), limit_nanos in taken.items():
        (day,) = (day for day in model.days[name] if day.start_us == start_us)
        assert day.committed_nanos <= limit_nanos


def require_model(model: Model, tables: Tables) -> None:
    """The databases hold what the model does."""
    assert {(row["budget_id"], row["period_start_us"], row["period_end_us"], row["committed_nanos"])
            for row in tables["budget_period"]} == {
        (name, day.start_us, day.end_us, day.committed_nanos) for name, days in model.days.items() for day in days
    }  # fmt: skip
    assert {row["budget_id"]: row["frozen_at_us"] for row in tables["budget"]} == model.frozen_at_us
    assert {(row["call_id"], row["attempt"]): _state_of(row) for row in tables["call_hold"]} == {
        key: (each.state, each.hold_nanos, each.charge_nanos, each.has_outcome, each.at_us)
        for key, each in model.attempts.items()
    }
    calls: Counter[Any] = Counter()
    costs: Counter[str] = Counter()
    for row in tables["usage_day"]:
        calls[row["team"], row["reason"]] += row["calls"]
        costs[row["team"]] += row["cost_nanos"]
    assert _some(calls) == _some(model.calls)
    assert _some(costs) == _some(model.costs)


def _some(counts: Counter[Any]) -> dict[Any, int]:
    return {name: count for name, count in counts.items() if count}


def require_bills(model: Model, truths: Mapping[Key, int], tops: Mapping[tuple[str, int], int]) -> None:
    """I1 and I7.

    Args:
        model: What happened.
        truths: What Cohere bills for each attempt that was sent.
        tops: The highest limit under which each day took a hold.
    """
    for name, days in model.days.items():
        for day in days:
            given_back = unknown = billed = over = adjusted = 0
            for budget, start_us, nanos in model.adjusts.values():
                if (budget, start_us) == (name, day.start_us):
                    adjusted += nanos
                    given_back += max(0, -nanos)
            for key, attempt in model.attempts.items():
                if attempt.day is day:
                    truth = truths[key] if attempt.state != "void" else 0
                    billed += truth
                    over += max(0, truth - attempt.hold_nanos)
                    unknown += attempt.hold_nanos - truth if attempt.charge_nanos is None else 0
            assert billed <= tops[name, day.start_us] + over + given_back
            assert day.committed_nanos - adjusted - billed == unknown


def _state_of(row: Row) -> tuple[Any, ...]:
    return row["state"], row["hold_nanos"], row["charge_nanos"], bool(row["has_outcome"]), row["at_us"]


def require_own_moves(before: Tables, after: Tables, *, may_fall: bool) -> None:
    """I8 and I9."""

    def committed(tables: Tables) -> dict[tuple[str, int], int]:
        return {(row["budget_id"], row["period_start_us"]): row["committed_nanos"] for row in tables["budget_period"]}

    moved = {
        (row["budget_id"], row["period_start_us"])
        for name in ("call_hold", "budget_adjust")
        for one, other in ((before, after), (after, before))
        for row in one[name]
        if row not in other[name]
    }
    earlier = committed(before)
    for day, nanos in committed(after).items():
        assert nanos == earlier.get(day, 0) or day in moved
        assert nanos >= earlier.get(day, 0) or may_fall

"""What a report has to say, summed up record by record from the audit trail, with nothing of the service's own sums.

Of the tables beside the trail it reads only where each budget's days end.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

from service.books.usage_report import Figures, UsageRow, Wanted, report_of
from service.storage.database import Row, Transaction

QUARTER_US, HOUR_US = 900_000_000, 3_600_000_000

Figured: TypeAlias = dict[str, int]
"""Every figure that is not 0; failures as `failure REASON`."""
Key: TypeAlias = tuple[str, str, str, str, int, int]
NOTHING_ASKED: Key = ("", "", "", "", 0, 0)


class Page(NamedTuple):
    """A report, with its rows made."""

    total: Figures
    rows: list[UsageRow]
    has_more: bool


def page_of(summed_up: Sequence[Row], wanted: Wanted, after: int) -> Page:
    """What `report_of` says."""
    total, rows, has_more = report_of(summed_up, wanted, after)
    return Page(total, list(rows), has_more)


class Trail(NamedTuple):
    """All that was ever recorded."""

    records: list[tuple[str, str, str, int, dict[str, Any]]]
    """Kind, call, team, time, body."""
    day_ends: dict[tuple[str, int], int]


async def trail_of(tx: Transaction) -> Trail:
    """Reads everything."""
    rows = await tx.fetch("SELECT kind, call_id, team, at_us, body FROM audit")
    days = await tx.fetch("SELECT budget_id, period_start_us, period_end_us FROM budget_period")
    records = [(*row[:4], orjson.loads(row[4])) for row in rows]
    return Trail(records, {(budget_id, start_us): end_us for budget_id, start_us, end_us in days})


def figured(figures: Figures) -> Figured:
    """Figures of a report, in the form of these."""
    counts = {
        "calls": figures.calls, "attempts": figures.attempts, "cost_nanos": figures.cost_nanos,
        "open": figures.open, "open_nanos": figures.open_nanos,
        "forfeited": figures.forfeited, "forfeited_nanos": figures.forfeited_nanos,
        **figures.units._asdict(),
    }  # fmt: skip
    failures = {f"failure {reason}": calls for reason, calls in figures.failures_by_reason.items()}
    assert all(failures.values())
    assert figures.failures == sum(failures.values())
    return {name: count for name, count in counts.items() if count} | failures


def summed_up(trail: Trail, wanted: Wanted) -> tuple[Figured, dict[Key, Figured]]:
    """The total and the rows."""
    total: Counter[str] = Counter()
    rows: dict[Key, Counter[str]] = defaultdict(Counter)
    for team, names, at_us, start_us, figures in _shares(trail):
        end_us = trail.day_ends[team, start_us]
        quarter_us = max(start_us, min(at_us - at_us % QUARTER_US, end_us - QUARTER_US))
        if wanted.team in {None, team} and wanted.window.start_us <= quarter_us < wanted.window.end_us:
            total.update(figures)
            rows[_key(wanted, team, names, quarter_us, (start_us, end_us))].update(figures)
    if not wanted.dimensions:
        rows.setdefault(NOTHING_ASKED, Counter())  # there even without any usage
    return _without_zeros(total), {key: _without_zeros(figures) for key, figures in rows.items()}


def _key(wanted: Wanted, team: str, names: tuple[str, ...], quarter_us: int, day: tuple[int, int]) -> Key:
    by = wanted.dimensions
    time = (0, 0)
    if "day" in by:
        time = day
    elif "hour" in by:
        hour_us = next(hour_us for hour_us in range(*day, HOUR_US) if quarter_us < hour_us + HOUR_US)
        time = (hour_us, min(hour_us + HOUR_US, day[1]))
    known = zip(("endpoint", "model", "credential"), names, strict=True)
    endpoint, model, credential_id = (name if dimension in by else "" for dimension, name in known)
    return (team if "team" in by else "", endpoint, model, credential_id, *time)


def _shares(trail: Trail) -> Iterator[tuple[str, tuple[str, ...], int, int, Figured]]:
    """What each record tells: team; endpoint, model and credential; time; start of its day; figures."""
    ends = {call_id: body["state"] for kind, call_id, _, _, body in trail.records if kind == "outcome"}
    forfeited = {each["call_id"] for *_, body in trail.records for each in body.get("attempts", ())}
    for kind, call_id, team, at_us, body in trail.records:
        names = tuple(body.get(name, "") for name in ("endpoint", "model", "credential_id"))
        if kind == "intent":
            state = ends.get(call_id, "forfeited" if call_id in forfeited else "open")
            if state in {"open", "forfeited"}:
                unresolved = {state: 1, f"{state}_nanos": body["hold_nanos"]}
                yield team, names, at_us, body["period_start_us"], unresolved
        elif kind == "outcome":
            figures = {"attempts": 1, "cost_nanos": body["charge_nanos"] or 0, **body["billed_units"]}
            if body["last"]:
                figures |= {"calls": 1} | ({f"failure {body['reason']}": 1} if body["reason"] else {})
            yield team, names, body["admitted_at_us"], body["period_start_us"], figures
        for *counted, reason, calls in body.get("usages", ()):
            failures = {f"failure {reason}": calls} if reason else {}
            yield team, tuple(counted), at_us, body["period_start_us"], {"calls": calls} | failures


def _without_zeros(figures: Counter[str]) -> Figured:
    return {name: count for name, count in figures.items() if count}

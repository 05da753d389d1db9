"""What is true of the books whatever happened to them, computed again from holds, adjustments and record bodies.

It shares nothing with the code that writes or verifies them but the chain's hash and the names of the units.
"""

from collections import Counter, defaultdict
from typing import Any, TypeAlias

import orjson

from service.books.chain import ROOT, link
from service.books.usage import UNITS
from service.storage.database import Database, Transaction

_MEASURES = ("calls", "attempts", "cost_nanos", *UNITS)
_DAY_KEY = ("team", "day_start_us", "day_end_us", "endpoint", "model", "credential_id", "reason")
_COLUMNS = {
    "budget": ("budget_id", "frozen_at_us"),
    "budget_period": ("budget_id", "period_start_us", "period_end_us", "committed_nanos", "frozen"),
    "call_hold": (
        "call_id", "attempt", "budget_id", "period_start_us", "hold_nanos", "charge_nanos", "has_outcome", "state",
        "price_version", "at_us", "endpoint", "model", "credential_id",
    ),
    "budget_adjust": ("adjust_id", "budget_id", "period_start_us", "amount_nanos", "at_us", "principal", "note"),
    "audit": ("writer_id", "seq", "kind", "call_id", "team", "at_us", "body", "hash"),
    "audit_writer": (
        "writer_id", "started_at_us", "head_seq", "head_hash", "intents", "outcomes", "answers", "notices",
    ),
    "usage_day": (*_DAY_KEY, *_MEASURES),
    "usage_quarter": ("team", "quarter_start_us", *_DAY_KEY[1:], *_MEASURES),
}  # fmt: skip
_SELECTS = {name: f"SELECT {', '.join(names)} FROM {name}" for name, names in _COLUMNS.items()}
_QUARTER_US = 900_000_000

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, list[Row]]


async def tables_of(database: Database) -> Tables:
    """Everything in the books, each table in the order of its columns."""

    async def read(tx: Transaction) -> dict[str, list[Any]]:
        return {name: await tx.fetch(select) for name, select in _SELECTS.items()}

    found = await database.read(read)
    return {
        name: [dict(zip(_COLUMNS[name], row, strict=True)) for row in sorted(rows, key=_in_order)]
        for name, rows in found.items()
    }


def _in_order(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(str(value).rjust(20) for value in row)


async def require_sound(database: Database) -> Tables:
    """Holds a database to the invariants; gives what is in it."""
    tables = await tables_of(database)
    require_invariants(tables)
    return tables


def require_invariants(tables: Tables) -> None:
    """Fails on whatever cannot be if the books were only ever written by their own transactions."""
    _require_days_apart(tables)
    _require_sums(tables)
    _require_records_of_attempts(tables)
    _require_chains(tables)
    _require_rollups(tables)


def _require_days_apart(tables: Tables) -> None:
    ends: dict[str, int] = {}
    for row in sorted(tables["budget_period"], key=lambda row: (row["budget_id"], row["period_start_us"])):
        assert ends.get(row["budget_id"], row["period_start_us"]) <= row["period_start_us"] < row["period_end_us"], row
        ends[row["budget_id"]] = row["period_end_us"]


def _require_sums(tables: Tables) -> None:
    """I3: what is committed is what was charged, what is held or unresolved, and what operators adjusted."""
    sums: Counter[tuple[str, int]] = Counter()
    for row in tables["call_hold"]:
        nanos = row["hold_nanos"] if row["charge_nanos"] is None else row["charge_nanos"]
        assert (row["charge_nanos"] is None) == (row["state"] in {"open", "forfeited"}), row
        sums[row["budget_id"], row["period_start_us"]] += nanos
    for row in tables["budget_adjust"]:
        sums[row["budget_id"], row["period_start_us"]] += row["amount_nanos"]
    committed = {(row["budget_id"], row["period_start_us"]): row["committed_nanos"] for row in tables["budget_period"]}
    assert {day: nanos for day, nanos in sums.items() if nanos or day in committed} == {
        day: nanos for day, nanos in committed.items() if nanos or day in sums
    }


def _require_records_of_attempts(tables: Tables) -> None:
    """I4 and I5: every hold has one intent of its time; one outcome or none, as it says; every end is on record."""
    by_kind: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    intents_at_us, said = {}, {}
    for row in tables["audit"]:
        if row["kind"] in {"intent", "outcome"}:
            body = orjson.loads(row["body"])
            key = (row["call_id"], body["attempt"])
            by_kind[row["kind"]][key] += 1
            if row["kind"] == "intent":
                intents_at_us[key] = row["at_us"]
            else:
                said[key] = (body["state"], body.get("charge_nanos"))
        for each in orjson.loads(row["body"]).get("attempts", ()):
            by_kind["forfeit"][each["call_id"], each["attempt"]] += 1
    holds = {(row["call_id"], row["attempt"]): row for row in tables["call_hold"] if row["price_version"]}
    assert by_kind["intent"] == Counter(holds.keys())
    assert by_kind["outcome"] == Counter(key for key, row in holds.items() if row["has_outcome"])
    for key, row in holds.items():
        assert intents_at_us[key] == row["at_us"], row
        if row["has_outcome"]:
            assert said[key] == (row["state"], row["charge_nanos"]), row
        else:
            assert (row["state"], by_kind["forfeit"][key]) in {("open", 0), ("forfeited", 1)}, row
    answers = Counter(row["call_id"] for row in tables["audit"] if row["kind"] == "answer")
    assert all(answers[call_id] <= 1 for call_id, _ in holds)
    for row in tables["call_hold"]:
        placeholder = (row["state"], row["hold_nanos"], row["charge_nanos"], row["has_outcome"]) == ("void", 0, 0, 0)
        assert row["price_version"] or placeholder, row


def _require_chains(tables: Tables) -> None:
    writers: dict[str, list[Row]] = defaultdict(list)
    for row in tables["audit"]:
        writers[row["writer_id"]].append(row)
    heads = {row["writer_id"]: row for row in tables["audit_writer"]}
    assert heads.keys() == writers.keys()
    for writer_id, rows in writers.items():
        rows.sort(key=lambda row: row["seq"])
        before, head = ROOT, heads[writer_id]
        for seq, row in enumerate(rows):
            before = link(
                before, writer_id, seq, row["kind"], row["call_id"], row["team"], row["at_us"], row["body"].encode()
            )
            assert (row["seq"], row["hash"]) == (seq, before), row
        assert (head["head_seq"], head["head_hash"]) == (len(rows) - 1, before)
        assert [row["at_us"] for row in rows] == sorted(row["at_us"] for row in rows)
        kinds = Counter(row["kind"] for row in rows)
        for kind in ("intent", "outcome", "answer", "notice"):
            assert head[f"{kind}s"] == kinds[kind]


def _require_rollups(tables: Tables) -> None:
    """I12: a quarter hour is the sum of its records, a day the sum of its quarter hours."""
    ends = {(row["budget_id"], row["period_start_us"]): row["period_end_us"] for row in tables["budget_period"]}
    quarters: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for record in tables["audit"]:
        team, body = record["team"], orjson.loads(record["body"])
        start_us = body.get("period_start_us", 0)
        at_us = body.get("admitted_at_us", record["at_us"])
        for names, measures in _shares(record["kind"], body):
            end_us = ends[team, start_us]
            quarter_us = max(start_us, min(at_us - at_us % _QUARTER_US, end_us - _QUARTER_US))
            quarters[team, quarter_us, start_us, end_us, *names].update(measures)
    _require_rows(tables["usage_quarter"], ("team", "quarter_start_us", *_DAY_KEY[1:]), quarters)
    days: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in tables["usage_quarter"]:
        days[tuple(row[name] for name in _DAY_KEY)].update({name: row[name] for name in _MEASURES})
    _require_rows(tables["usage_day"], _DAY_KEY, days)


def _shares(kind: str, body: Row) -> list[tuple[tuple[str, str, str, str], dict[str, int]]]:
    """What one record adds, and under which names."""
    if kind == "outcome":
        ended = "" if body["code"] == "OK" else body.get("reason", body["code"])
        names = (body["endpoint"], body["model"], body["credential_id"], str(ended) if body["last"] else "")
        measures = {"calls": int(body["last"]), "attempts": 1, "cost_nanos": body.get("charge_nanos", 0)}
        return [(names, measures | body.get("billed_units", {}))]
    return [((each[0], each[1], each[2], each[3]), {"calls": each[4]}) for each in body.get("usages", ())]


def _require_rows(rows: list[Row], key: tuple[str, ...], sums: dict[tuple[Any, ...], Counter[str]]) -> None:
    found = {tuple(row[name] for name in key): {name: row[name] for name in _MEASURES} for row in rows}
    assert len(found) == len(rows)
    assert found == {names: {name: measures[name] for name in _MEASURES} for names, measures in sums.items()}

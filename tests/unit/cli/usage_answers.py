"""Answers of GetUsage for the tests of what is printed of them."""

import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cohort.v1.budget_pb2 import Budget
from cohort.v1.get_usage_pb2 import (
    BilledCounts,
    GetUsageResponse,
    ModelTerms,
    Terms,
    UnitPrice,
    UnresolvedAttempts,
    UsageFigures,
    UsageRow,
)
from service.money import money_of


def at(text: str) -> Timestamp:
    """A point in time, as ISO 8601 writes it."""
    stamp = Timestamp()
    stamp.FromDatetime(datetime.datetime.fromisoformat(text).astimezone(datetime.UTC))
    return stamp


def figures(
    cost_nanos: int, *, calls: int = 1, failures: int = 0, unresolved: UnresolvedAttempts | None = None, **units: int
) -> UsageFigures:
    """What was consumed; each call that did not fail made one attempt."""
    return UsageFigures(
        calls=calls,
        failures=failures,
        failures_by_reason={"BUDGET_SPENT": failures} if failures else {},
        attempts=calls - failures,
        billed_units=BilledCounts(**units),
        cost=money_of(cost_nanos),
        unresolved=unresolved,
    )


def budget(team: str, *, limit: int, spent: int, held: int = 0, zone: str = "UTC", frozen: bool = False) -> Budget:
    """A budget of 21 November 2026; amounts are nano-USD."""
    return Budget(
        team=team,
        limit=money_of(limit),
        spent=money_of(spent),
        held=money_of(held),
        available=money_of(max(0, limit - spent - held)),
        period_start=at("2026-11-21T00:00Z"),
        resets_at=at("2026-11-22T00:00Z"),
        time_zone=zone,
        frozen=frozen,
    )


def usage(*rows: UsageRow, total: UsageFigures, **more: Any) -> GetUsageResponse:
    """An answer about 21 November 2026."""
    return GetUsageResponse(
        rows=rows, total=total, start_time=at("2026-11-21T00:00Z"), end_time=at("2026-11-22T00:00Z"), **more
    )


CHAT_ROW = UsageRow(
    model="command-a-03-2025",
    figures=figures(12_500_000_000, calls=1_203, failures=3, input_tokens=1_000_000, output_tokens=1_000_000),
)
EMBED_ROW = UsageRow(model="embed-v4.0", figures=figures(2_000_000_000, calls=2, input_tokens=16_666_667))
REFUSED_ROW = UsageRow(figures=figures(0, failures=1))
TERMS = Terms(
    team="search",
    endpoints=["chat", "embed"],
    models=[
        ModelTerms(
            model="command-a-03-2025",
            endpoint="chat",
            prices=[
                UnitPrice(unit="input_tokens", count=1_000_000, price=money_of(2_500_000_000)),
                UnitPrice(unit="output_tokens", count=1_000_000, price=money_of(10_000_000_000)),
            ],
        ),
        ModelTerms(model="command-a-reasoning-08-2025"),
        ModelTerms(
            model="embed-v3.0",
            endpoint="embed",
            prices=[UnitPrice(unit="images", count=1, price=money_of(100_000))],
        ),
    ],
    max_tokens_per_call=4096,
    daily_budget=money_of(25_000_000_000),
    price_book_version="2026-11-21.3fa9c1d2",
)
WHOLE = usage(
    CHAT_ROW,
    EMBED_ROW,
    REFUSED_ROW,
    total=figures(
        14_500_000_000,
        calls=1_206,
        failures=4,
        input_tokens=17_666_667,
        output_tokens=1_000_000,
        unresolved=UnresolvedAttempts(
            open=2, open_hold=money_of(120_000_000), forfeited=1, forfeited_hold=money_of(30_000_000)
        ),
    ),
    budgets=[budget("search", limit=25_000_000_000, spent=14_530_000_000, held=120_000_000, zone="Europe/Berlin")],
    terms=TERMS,
)

"""Usage for people: a table with bars, what is not known yet, the budgets and the terms."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from cohort.v1.get_usage_pb2 import GetUsageResponse, Terms, UnitPrice, UsageDimension, UsageFigures, UsageRow
from service.cli.amounts import dollars
from service.cli.budget_table import BAR_CELLS, budget_table
from service.cli.limits_table import limits_table
from service.cli.table import table
from service.cli.times import local, told
from service.cli.usage_pages import budget_zone
from service.money import nanos_of

_HEADINGS = {
    UsageDimension.USAGE_DIMENSION_TEAM: "TEAM",
    UsageDimension.USAGE_DIMENSION_ENDPOINT: "ENDPOINT",
    UsageDimension.USAGE_DIMENSION_MODEL: "MODEL",
    UsageDimension.USAGE_DIMENSION_ACCESS_KEY: "ACCESS KEY",
    UsageDimension.USAGE_DIMENSION_HOUR: "HOUR",
    UsageDimension.USAGE_DIMENSION_DAY: "DAY",
}
_NUMBERS = ("CALLS", "FAILED", "ATTEMPTS", "COST")
_TIMES = {UsageDimension.USAGE_DIMENSION_HOUR: "%Y-%m-%d %H:%M", UsageDimension.USAGE_DIMENSION_DAY: "%Y-%m-%d"}
_EIGHTHS = " ▏▎▍▌▋▊▉"


def usage_text(usage: GetUsageResponse, group_by: Sequence[UsageDimension.ValueType]) -> str:
    """An answer in words and tables.

    Args:
        usage: The whole answer.
        group_by: What its rows were asked to be.
    """
    zone = budget_zone(usage)
    parts = [
        f"Usage from {told(usage.start_time, zone)} to {told(usage.end_time, zone)}",
        _rows_table(usage, group_by, zone),
        *_failures(usage.total),
        *_unresolved(usage.total),
        *([budget_table(usage.budgets)] if usage.budgets else []),
        *([limits_table(usage.terms.rate_limits, zone)] if usage.terms.rate_limits else []),
        _terms_text(usage.terms),
    ]
    return "\n\n".join(parts) + "\n"


def _rows_table(usage: GetUsageResponse, group_by: Sequence[UsageDimension.ValueType], zone: ZoneInfo) -> str:
    rows = list(usage.rows)
    if any(dimension in _TIMES for dimension in group_by):
        rows.sort(key=lambda row: (row.start_time.seconds, -nanos_of(row.figures.cost)))
    most = max((nanos_of(row.figures.cost) for row in rows), default=0)
    lines = [
        [
            *([_word(row, dimension, zone)] for dimension in group_by),
            *_figures(row.figures),
            [_bar(nanos_of(row.figures.cost), most)],
        ]
        for row in rows
    ]
    if group_by:
        blank = [[""] for _ in group_by[1:]]
        lines.append([["total"], *blank, *_figures(usage.total), [""]])
    columns = [*(_HEADINGS[dimension] for dimension in group_by), "CALLS", "FAILED", "ATTEMPTS", "BILLED", "COST", ""]
    return table(columns, lines, right=_NUMBERS)


def _word(row: UsageRow, dimension: UsageDimension.ValueType, zone: ZoneInfo) -> str:
    if dimension in _TIMES:
        return local(row.start_time, zone).strftime(_TIMES[dimension])
    names = {
        UsageDimension.USAGE_DIMENSION_TEAM: row.team,
        UsageDimension.USAGE_DIMENSION_ENDPOINT: row.endpoint,
        UsageDimension.USAGE_DIMENSION_MODEL: row.model,
        UsageDimension.USAGE_DIMENSION_ACCESS_KEY: row.access_key_id,
    }
    return names[dimension] or "-"


def _figures(figures: UsageFigures) -> list[list[str]]:
    billed = [f"{count:,} {field.name}" for field, count in figures.billed_units.ListFields()]
    counts = ([f"{count:,}"] for count in (figures.calls, figures.failures, figures.attempts))
    return [*counts, billed or ["-"], [dollars(figures.cost)]]


def _bar(cost_nanos: int, most_nanos: int) -> str:
    """As long as the cost is of the highest cost, to an eighth of a cell."""
    eighths = cost_nanos * BAR_CELLS * 8 // most_nanos if most_nanos > 0 else 0
    cells, rest = divmod(eighths, 8)
    return "█" * cells + (_EIGHTHS[rest] if rest else "")


def _failures(total: UsageFigures) -> list[str]:
    by_count = sorted(total.failures_by_reason.items(), key=lambda item: (-item[1], item[0]))
    return ["Failed: " + ", ".join(f"{count:,} {reason}" for reason, count in by_count)] if by_count else []


def _unresolved(total: UsageFigures) -> list[str]:
    unresolved, lines = total.unresolved, []
    if unresolved.open:
        lines.append(f"Under way: {_attempts(unresolved.open)}, at most {dollars(unresolved.open_hold)}")
    if unresolved.forfeited:
        most = dollars(unresolved.forfeited_hold)
        lines.append(
            f"Ended without a bill: {_attempts(unresolved.forfeited)}, at most {most}, which the budget counts"
        )
    return ["\n".join(lines)] if lines else []


def _attempts(count: int) -> str:
    return f"{count:,} attempt{'' if count == 1 else 's'}"


def _price(price: UnitPrice) -> str:
    units = price.unit.removesuffix("s") if price.count == 1 else f"{price.count:,} {price.unit}"
    return f"{dollars(price.price)} per {units}"


def _terms_text(terms: Terms) -> str:
    caps = f"at most {terms.max_tokens_per_call:,} output tokens a call"
    if terms.HasField("max_input_tokens_per_call"):
        caps += f" and {terms.max_input_tokens_per_call:,} input tokens"
    rows = [
        [
            [model.model],
            [model.endpoint or "-"],
            [_price(price) for price in model.prices] or ["none: refused"],
        ]
        for model in terms.models
    ]
    heading = f"Team {terms.team} may use {', '.join(terms.endpoints) or 'nothing'}: {caps}"
    return f"{heading}\n\n{table(('MODEL', 'ENDPOINT', f'PRICE ({terms.price_book_version})'), rows)}"

"""What was used in a window of time and what it cost, as exact as the records; beside it what nobody knows the cost of.

What an attempt was admitted for counts in the quarter hour of its admission, in the budget's day that pays for it. So
any window on quarter hours is a sum of rollups, and equals the sum of the records in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from service.books import usage_statement as statement
from service.books.period import Period
from service.books.usage import NOTHING, Units
from service.storage.database import Row, Transaction

Dimension: TypeAlias = Literal["team", "endpoint", "model", "credential", "hour", "day"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose usage, when, and by what.

    Attributes:
        team: Whose; None for all, and for the refusals of nobody known.
        window: Begins and ends on quarter hours.
        dimensions: What has rows of its own; never both hour and day.
    """

    team: str | None
    window: Period
    dimensions: frozenset[Dimension] = frozenset()


@dataclass(slots=True)
class Figures:
    """How much it was."""

    calls: int = 0
    """Ended, well or not."""
    attempts: int = 0
    """Ended, whether or not their bill is known."""
    cost_nanos: int = 0
    """Of those whose bill is known."""
    units: Units = NOTHING
    open: int = 0
    """Attempts under way."""
    open_nanos: int = 0
    """Their holds."""
    forfeited: int = 0
    """Attempts that cost nobody knows what. Those that have ended are in `attempts` as well."""
    forfeited_nanos: int = 0
    """Their holds."""
    failures_by_reason: dict[str, int] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """Calls that ended in an error."""
        return sum(self.failures_by_reason.values())


class UsageKey(NamedTuple):
    """What falls together in one row; "" and 0 for what is not asked for."""

    team: str = ""
    endpoint: str = ""
    model: str = ""
    credential_id: str = ""
    start_us: int = 0
    """Of the whole hour or day, of which the window may hold a part."""
    end_us: int = 0


class UsageRow(NamedTuple):
    """One combination that was used."""

    key: UsageKey
    figures: Figures


class Report(NamedTuple):
    """A page of rows, the most expensive first, and the sum of all rows of all pages."""

    total: Figures
    rows: Iterator[UsageRow]
    """Each is made when it is reached: every collection of garbage would go through ten thousand that are kept, and
    stop the event loop meanwhile."""
    has_more: bool


async def sum_up(tx: Transaction, wanted: Wanted, rows_max: int, after: int = 0) -> list[Row]:
    """Sums up usage in the database; `report_of` reads what comes of it.

    Args:
        tx: Where from; only read.
        wanted: Which usage.
        rows_max: How many rows at most.
        after: How many rows were on the pages before.
    """
    by = wanted.dimensions
    time = statement.BY_HOUR if "hour" in by else statement.BY_DAY if "day" in by else statement.BY_NO_TIME
    names = (int(dimension in by) for dimension in _NAMED)
    window, team = wanted.window, wanted.team
    whose = (int(team is None), team or "", window.start_us, window.end_us)
    return await tx.fetch(statement.USAGE, *whose, *names, time, rows_max, after)


def report_of(summed_up: Sequence[Row], wanted: Wanted, after: int = 0) -> Report:
    """The report in what `sum_up` gives. Pure: 10,000 rows take a thread's time and not the loop's."""
    named = [_NAMED[dimension] for dimension in _NAMED if dimension in wanted.dimensions]
    total, count = Figures(), 0
    page: list[Row] = []
    for row in summed_up:
        if row[0] == statement.ROW:
            page.append(row)
        else:
            total, count = _figures(row), row[0]
    # The database has chosen the rows of the page; only there its order of texts counts, which is its own.
    page.sort(key=_in_order)
    # A sum without dimensions is there even of nothing.
    rows = _rows(page, named) if count or wanted.dimensions else iter([UsageRow(UsageKey(), Figures())])
    return Report(total, rows, has_more=after + len(page) < count)


_NAMED: dict[Dimension, int] = {
    "credential": UsageKey._fields.index("credential_id"),
    "model": UsageKey._fields.index("model"),
    "endpoint": UsageKey._fields.index("endpoint"),
    "team": UsageKey._fields.index("team"),
}
"""Dimensions and their places in `UsageKey`, in the order of the statement's names."""


def _rows(page: Sequence[Row], named: Sequence[int]) -> Iterator[UsageRow]:
    for row in page:
        yield UsageRow(_key(row, named), _figures(row))


def _in_order(row: Row) -> tuple[int, int, int, str]:
    _, start_us, end_us, names, _, _, cost_nanos, *_ = row
    return -cost_nanos, start_us, end_us, names


def _key(row: Row, named: Sequence[int]) -> UsageKey:
    parts = ["", "", "", "", row[1], row[2]]
    for place, name in zip(named, row[3].split("\n"), strict=False):  # of no names it is one, empty
        parts[place] = name
    return UsageKey._make(parts)


def _figures(row: Row) -> Figures:
    if row[4] is None:  # the sum of no rows
        return Figures()
    figures = Figures(row[4], row[5], row[6], Units._make(row[7:-1]))
    if row[-1]:
        _add_apart(figures, row[-1])
    return figures


def _add_apart(figures: Figures, apart: str) -> None:
    failures: dict[str, int] = {}
    for each in apart.split(","):
        reason, count, hold_nanos = each.split(" ")
        if reason == "open":
            figures.open += int(count)
            figures.open_nanos += int(hold_nanos)
        elif reason == "forfeited":
            figures.forfeited += int(count)
            figures.forfeited_nanos += int(hold_nanos)
        else:
            failures[reason] = failures.get(reason, 0) + int(count)
    # 0 where a call turned out to have ended otherwise.
    figures.failures_by_reason = {reason: calls for reason, calls in failures.items() if calls}

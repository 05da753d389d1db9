"""What was used in a window of time and what it cost, as exact as the records; beside it what nobody knows the cost of.

What an attempt was admitted for counts in the quarter hour of its admission, in the budget's day that pays for it. So
any window on quarter hours is a sum of rollups, and equals the sum of the records in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from service.books import usage_statement as statement
from service.books.period import Period
from service.books.usage import NOTHING, UNITS, Units
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
    rows: list[UsageRow]
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
    names = (int("credential" in by), int("model" in by), int("endpoint" in by), int("team" in by))
    window, team = wanted.window, wanted.team
    whose = (int(team is None), window.start_us, window.end_us, team or "")
    return await tx.fetch(statement.USAGE, time, *whose, *names, rows_max, after)


def report_of(summed_up: Sequence[Row], wanted: Wanted, after: int = 0) -> Report:
    """The report in what `sum_up` gives. Pure: 10,000 rows take a thread's time and not the loop's."""
    total, count = Figures(), 0
    rows: list[UsageRow] = []
    for row in summed_up:
        if row[0] == statement.ROW:
            rows.append(UsageRow(UsageKey(*row[1:7]), _figures(row)))
        else:
            total, count = _figures(row), row[0]
    if not wanted.dimensions and not count:
        rows.append(UsageRow(UsageKey(), Figures()))  # a sum without dimensions is there even of nothing
    # The database has chosen the rows of the page; only there its order of texts counts, which is its own.
    rows.sort(key=_in_order)
    return Report(total, rows, has_more=after + len(rows) < count)


def _in_order(row: UsageRow) -> tuple[int, int, int, UsageKey]:
    key, figures = row
    return -figures.cost_nanos, key.start_us, key.end_us, key


def _figures(row: Row) -> Figures:
    calls, attempts, cost_nanos, *counts = [count or 0 for count in row[7:-1]]  # the sum of no rows is NULL
    units, (open_, open_nanos, forfeited, forfeited_nanos) = counts[: len(UNITS)], counts[len(UNITS) :]
    return Figures(
        calls, attempts, cost_nanos, Units(*units), open_, open_nanos, forfeited, forfeited_nanos, _failures(row[-1])
    )


def _failures(calls_by_reason: str | None) -> dict[str, int]:
    if not calls_by_reason:
        return {}
    told = (each.split(" ") for each in calls_by_reason.split(","))
    # 0 where a call turned out to have ended otherwise.
    return {reason: int(calls) for reason, calls in told if calls != "0"}

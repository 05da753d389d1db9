"""What was used in a window of time and what it cost, as exact as the records; beside it what nobody knows the cost of.

What an attempt was admitted for counts in the quarter hour of its admission, in the budget's day that pays for it. So
any window on quarter hours is a sum of rollups, and equals the sum of the records in it.
"""

from collections.abc import Iterable
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


async def report(tx: Transaction, wanted: Wanted, rows_max: int, after: int = 0) -> Report:
    """Sums up usage.

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
    found = await tx.fetch(statement.USAGE, time, *whose, *names, rows_max, after)
    total, rows, count = _read(found)
    if not by and not count:
        rows[UsageKey()] = Figures()  # a sum without dimensions is there even of nothing
    # The database has chosen the rows of the page; only there its order of texts counts, which is its own.
    listed = sorted(rows.items(), key=_in_order)
    return Report(total, [UsageRow(*row) for row in listed], has_more=after + len(rows) < count)


def _in_order(row: tuple[UsageKey, Figures]) -> tuple[int, int, int, UsageKey]:
    key, figures = row
    return -figures.cost_nanos, key.start_us, key.end_us, key


def _read(found: Iterable[Row]) -> tuple[Figures, dict[UsageKey, Figures], int]:
    """The total, the rows of the page, and how many there are on all pages."""
    total, rows, count = Figures(), dict[UsageKey, Figures](), 0
    failures: list[Row] = []
    for row in found:
        if row[0] == statement.TOTAL:
            total, count = _figures(row), row[-1]
        elif row[0] == statement.ROW:
            rows[UsageKey(*row[1:7])] = _figures(row)
        else:
            failures.append(row)
    for row in failures:
        figures = total if row[0] == statement.FAILURES_OF_TOTAL else rows[UsageKey(*row[1:7])]
        if row[8]:  # 0 where a call turned out to have ended otherwise
            figures.failures_by_reason[row[7]] = row[8]
    return total, rows, count


def _figures(row: Row) -> Figures:
    calls, attempts, cost_nanos, *counts = [count or 0 for count in row[8:-1]]  # the sum of no rows is NULL
    units, (open_, open_nanos, forfeited, forfeited_nanos) = counts[: len(UNITS)], counts[len(UNITS) :]
    return Figures(calls, attempts, cost_nanos, Units(*units), open_, open_nanos, forfeited, forfeited_nanos)

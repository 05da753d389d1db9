"""Adds up the records again and compares with the rollups: each quarter hour with its records, each day with its
quarter hours.
"""

import sys
from types import TracebackType
from typing import Any, Self

from service.books.period import Period
from service.books.spool import Tally
from service.books.usage import UNITS, quarter_of
from service.books.verification.bodies import Share
from service.books.verification.findings import Report
from service.books.verification.money import MoneyCheck

_MEASURES = ("calls", "attempts", "cost_nanos", *UNITS)


class UsageCheck:
    """Takes what the records say and the rows of the rollups, in any order but after all periods.

    Args:
        report: Told what does not hold.
        money: Knows the periods.
        is_whole: All of them are there; without, nothing can be added up.
    """

    def __init__(self, report: Report, money: MoneyCheck, *, is_whole: bool) -> None:
        self._report = report
        self._money = money
        self._is_whole = is_whole
        self._quarters = Tally()
        self._days = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._quarters.__exit__(kind, error, at)
        self._days.__exit__(kind, error, at)

    def record(self, team: str, at_us: int, day_start_us: int, share: Share) -> None:
        """Takes what a record adds.

        Args:
            team: Whose.
            at_us: When its attempt was admitted, or the record was written.
            day_start_us: The start of the day that it counts for.
            share: What it adds.
        """
        day_end_us = self._money.end_of(team, day_start_us)
        if day_end_us is None:
            day_end_us = sys.maxsize  # that it is missing is told of the hold or of the rollup
        quarter_us = quarter_of(at_us, Period(day_start_us, day_end_us))
        self._quarters.add((team, quarter_us, day_start_us, *share[:4]), share.measures)

    def quarter(self, row: tuple[Any, ...]) -> None:
        """Takes a row of usage_quarter."""
        team, quarter_us, day_start_us, day_end_us, *names = row[:8]
        measures = row[8:]
        self._quarters.add((team, quarter_us, day_start_us, *names), tuple(-measure for measure in measures))
        self._days.add((team, day_start_us, *names), measures)
        where = f"usage_quarter {team}/{quarter_us}"
        self._has_period(team, day_start_us, day_end_us, where)

    def day(self, row: tuple[Any, ...]) -> None:
        """Takes a row of usage_day."""
        team, day_start_us, day_end_us, *names = row[:7]
        self._days.add((team, day_start_us, *names), tuple(-measure for measure in row[7:]))
        self._has_period(team, day_start_us, day_end_us, f"usage_day {team}/{day_start_us}")

    def finish(self) -> None:
        """Compares."""
        if not self._is_whole:
            self._report.incomplete("the rollups: not everything is there that they sum up")
            return
        for key, sums in self._quarters.sums():
            self._compare("usage_quarter", key, key[3:], sums, "its records")
        for key, sums in self._days.sums():
            self._compare("usage_day", key, key[2:], sums, "its quarter hours")

    def _has_period(self, team: str, start_us: int, end_us: int, where: str) -> None:
        if self._is_whole and self._money.end_of(team, start_us) != end_us:
            self._report.broken("usage_changed", where, "its day is none of the budget's periods")

    def _compare(
        self, table: str, key: tuple[Any, ...], names: tuple[Any, ...], sums: tuple[int, ...], of: str
    ) -> None:
        differing = [f"{-each:+d} {name}" for name, each in zip(_MEASURES, sums, strict=True) if each]
        if differing:
            where = f"{table} {key[0]}/{key[1]} ({', '.join(name or '-' for name in names)})"
            self._report.broken("usage_changed", where, f"differs from {of}: {', '.join(differing)}")

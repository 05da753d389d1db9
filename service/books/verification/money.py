"""Adds up what every budget's day has committed: charges, holds that stand, and adjustments; looks at the prices."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, Self

from service.books.sections import TIME_MIN_US
from service.books.spool import Spool
from service.books.verification.findings import Report
from service.books.verification.times import COMMIT_LAG_US, utc

_ROW, _NOTICE = range(2)


@dataclass(slots=True)
class _Day:
    end_us: int
    committed_nanos: int
    frozen: bool
    summed_nanos: int = 0


class MoneyCheck:
    """Takes periods, budgets, holds and adjustments; memory grows with budgets and their days.

    Args:
        report: Told what does not hold.
        is_whole: All of them are there; without, nothing can be added up.
    """

    def __init__(self, report: Report, *, is_whole: bool) -> None:
        self._report = report
        self._is_whole = is_whole
        self._days: dict[tuple[str, int], _Day] = {}
        self._budgets: dict[str, int] = {}
        self._freezes: dict[str, tuple[int, bool, str]] = {}
        self._adjusts = Spool()
        self._versions: set[str] = set()
        self._taken = 0
        self._at_us = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._adjusts.__exit__(kind, error, at)

    def begin(self, at_us: int) -> None:
        """The books were read at this time."""
        self._at_us = at_us

    def period(self, row: tuple[Any, ...]) -> None:
        """Takes a row of budget_period."""
        budget_id, start_us, end_us, committed_nanos, frozen = row
        self._report.counted["periods"] += 1
        self._days[budget_id, start_us] = _Day(end_us, committed_nanos, bool(frozen))

    def budget(self, row: tuple[Any, ...]) -> None:
        """Takes a row of budget."""
        budget_id, frozen_at_us = row
        self._budgets[budget_id] = frozen_at_us

    def prices(self, row: tuple[Any, ...]) -> None:
        """Takes a row of price_book."""
        version, _, body = row
        self._versions.add(version)
        # A version ends with the beginning of its content's SHA-256 (service/pricing/book.py).
        digest = version.rpartition(".")[2]
        if not digest or not sha256(body.encode()).hexdigest().startswith(digest):
            self._report.broken("prices_changed", f"price book {version}", "it is not what its version says")

    def priced(self, version: str, where: str) -> None:
        """An intent was priced by this version."""
        if self._is_whole and version not in self._versions:
            self._report.broken("prices_missing", f"price book {version}", f"removed: {where} was priced by it")
            self._versions.add(version)  # told once

    def end_of(self, budget_id: str, start_us: int) -> int | None:
        """The end of a period; None if there is no such period."""
        day = self._days.get((budget_id, start_us))
        return None if day is None else day.end_us

    def committed(self, budget_id: str, start_us: int, nanos: int, where: str) -> None:
        """Something takes so much of a period."""
        day = self._days.get((budget_id, start_us))
        if day is not None:
            day.summed_nanos += nanos
        elif self._is_whole:
            self._report.broken("period_missing", where, f"there is no period {_name(budget_id, start_us)}")

    def adjust(self, row: tuple[Any, ...]) -> None:
        """Takes a row of budget_adjust."""
        adjust_id, budget_id, start_us, amount_nanos, at_us, principal, note = row
        where = f"adjust {adjust_id}"
        self.committed(budget_id, start_us, amount_nanos, where)
        self._add(adjust_id, _ROW, (budget_id, start_us, amount_nanos, principal, note), at_us, where)

    def adjusted(self, team: str, body: dict[str, Any], at_us: int, where: str) -> None:
        """Takes the notice of an adjustment."""
        said = tuple(body.get(name) for name in ("period_start_us", "amount_nanos", "principal", "note"))
        self._add(str(body.get("adjust_id")), _NOTICE, (team, *said), at_us, where)

    def frozen(self, team: str, at_us: int, where: str, *, frozen: bool) -> None:
        """Takes the notice that a team was frozen, or is not any more."""
        before = self._freezes.get(team)
        if before is None or before[0] <= at_us:
            self._freezes[team] = at_us, frozen, where

    def finish(self) -> None:
        """Compares the sums, the adjustments and the freezes with what the books say."""
        for adjust_id, found in groupby(self._adjusts.sorted(), key=itemgetter(0)):
            self._compare_adjust(adjust_id, [row[1:] for row in found])
        if not self._is_whole:
            self._report.incomplete("what the budgets' days add up to: not everything is there")
            return
        before: tuple[str, int] = ("", TIME_MIN_US)
        for (budget_id, start_us), day in sorted(self._days.items()):
            where = _name(budget_id, start_us)
            if day.summed_nanos != day.committed_nanos:
                sums = f"its holds and adjustments add up to {day.summed_nanos}"
                self._report.broken("period_changed", where, f"{day.committed_nanos} nanos are committed, {sums}")
            if budget_id == before[0] and start_us < before[1]:
                self._report.broken("period_changed", where, "it overlaps with the one before")
            before = budget_id, day.end_us
            if day.end_us > self._at_us and day.frozen != (self._budgets.get(budget_id, 0) > 0):
                self._report.broken("freeze_changed", where, f"it does not stop what budget {budget_id} stops")
        for budget_id in sorted({*self._budgets, *self._freezes, *(name for name, _ in self._days)}):
            self._compare_budget(budget_id)

    def _add(self, adjust_id: str, source: int, said: tuple[Any, ...], at_us: int, where: str) -> None:
        self._taken += 1
        self._adjusts.add((adjust_id, source, self._taken, said, at_us, where))

    def _compare_adjust(self, adjust_id: str, found: list[tuple[Any, ...]]) -> None:
        source, _, said, at_us, where = found[0]
        if source == _NOTICE:
            self._report.broken("adjust_missing", f"adjust {adjust_id}", f"removed: {where} tells of it")
        elif len(found) == 1 and self._is_whole:
            self._report.broken("adjust_unrecorded", where, "no notice tells of it")
        elif len(found) > 1:
            _, _, noticed, noticed_at_us, notice = found[1]
            if noticed != said or abs(noticed_at_us - at_us) > COMMIT_LAG_US:
                self._report.broken("adjust_changed", where, f"{notice} tells it differently")
        for _, _, _, _, again in found[2:]:
            self._report.broken("record_repeated", again, f"tells of adjust {adjust_id} again")

    def _compare_budget(self, budget_id: str) -> None:
        where = f"budget {budget_id}"
        at_us, frozen, notice = self._freezes.get(budget_id, (0, False, "no record"))
        frozen_at_us = self._budgets.get(budget_id)
        if frozen_at_us is None:
            self._report.broken("freeze_changed", where, "it has no row")
        elif (frozen_at_us > 0) != frozen or (frozen and abs(frozen_at_us - at_us) > COMMIT_LAG_US):
            now = f"frozen since {utc(frozen_at_us)}" if frozen_at_us > 0 else "not frozen"
            self._report.broken("freeze_changed", where, f"it is {now}, but {notice} is the last word on it")


def _name(budget_id: str, start_us: int) -> str:
    return f"period {budget_id}/{start_us}"

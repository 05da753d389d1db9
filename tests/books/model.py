"""The books in plain Python: what one transaction after the other makes of budgets, holds and rollups."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from service.books.entries import Admission, Entry, Note, Settlement, Withdrawal
from service.books.period import period_at
from service.books.usage import Usage

Told: TypeAlias = tuple[Any, ...]
"""What an entry's waiter is told: a word, and figures."""
Key: TypeAlias = tuple[str, int]


class Collision(Exception):
    """An attempt is admitted a second time."""


@dataclass
class Day:
    """A budget's day."""

    start_us: int
    end_us: int
    committed_nanos: int = 0

    def __contains__(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us


@dataclass
class Attempt:
    """A hold and what became of it."""

    team: str
    day: Day | None
    """None if it was withdrawn before it was ever seen."""
    hold_nanos: int
    at_us: int
    state: str = "open"
    charge_nanos: int | None = None
    has_outcome: bool = False


@dataclass
class Model:
    """What the databases must hold.

    Attributes:
        now_us: The databases' clock.
        at_us: The time that the writer last dated a record with.
        believed: The day that the writer found each budget in.
    """

    now_us: int
    at_us: int = 0
    believed: dict[str, Day] = field(default_factory=dict)
    days: dict[str, list[Day]] = field(default_factory=lambda: defaultdict(list))
    frozen_at_us: dict[str, int] = field(default_factory=dict)
    attempts: dict[Key, Attempt] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    """Calls with an attempt whose answer stands."""
    adjusts: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By team and reason; "" is OK."""
    costs: Counter[str] = field(default_factory=Counter)

    def write(self, entries: Sequence[Entry], now_us: int) -> list[Told]:
        """One group commit; what each entry's waiter is told.

        Raises:
            Collision: Nothing of it was done, as far as the databases go.
        """
        self.at_us = max(now_us, self.at_us)
        told: dict[Entry, Told] = {}
        for entry in entries:
            if isinstance(entry, Settlement):
                told[entry] = self._settle(entry)
            elif isinstance(entry, Withdrawal):
                self._withdraw(entry.admission)
                told[entry] = ("written",)
        admissions = [entry for entry in entries if isinstance(entry, Admission)]
        for team in sorted({entry.team for entry in admissions}):
            asked = [entry for entry in admissions if entry.team == team]
            for limit_nanos in dict.fromkeys(entry.limit_nanos for entry in asked):
                self._admit(team, [entry for entry in asked if entry.limit_nanos == limit_nanos], told)
        for entry in entries:
            if isinstance(entry, Note):
                self._note(entry)
                told[entry] = ("written",)
            elif isinstance(entry, Settlement) and told[entry][0] == "settled":
                day = self._day(entry.team, entry.admitted.period.start_us)
                told[entry] = ("settled", day.committed_nanos)
        return [told[entry] for entry in entries]

    def _settle(self, entry: Settlement) -> Told:
        attempt = self.attempts.get((entry.call_id, entry.attempt))
        if attempt is not None and not attempt.has_outcome and attempt.state in {"open", "forfeited"}:
            self._end(attempt, entry.state, entry.charge_nanos, entry.usage)
        elif (
            attempt is None
            or not attempt.has_outcome
            or (attempt.state, attempt.charge_nanos)
            != (
                entry.state,
                entry.charge_nanos,
            )
        ):
            return ("missing",)
        return ("settled",)

    def _withdraw(self, admission: Admission) -> None:
        key = (admission.call_id, admission.attempt)
        attempt = self.attempts.get(key)
        if attempt is None:
            self.attempts[key] = Attempt(admission.team, None, 0, self.at_us, "void", 0)
        elif not attempt.has_outcome and attempt.state in {"open", "forfeited"}:
            self._end(attempt, "void", 0, Usage("", "", "", "", calls=0, attempts=1))

    def _end(self, attempt: Attempt, state: str, charge_nanos: int | None, usage: Usage) -> None:
        assert attempt.day is not None
        attempt.state, attempt.charge_nanos, attempt.has_outcome = state, charge_nanos, True
        if charge_nanos is not None:
            attempt.day.committed_nanos += charge_nanos - attempt.hold_nanos
            self.costs[attempt.team] += charge_nanos
        self.calls[attempt.team, usage.reason] += usage.calls

    def _admit(self, team: str, asked: Sequence[Admission], told: dict[Entry, Told]) -> None:
        day = self.believed[team] = self.in_force(team, asked[0].zone)
        refused = []
        for entry in asked:
            fits = day.committed_nanos + entry.hold_nanos <= entry.limit_nanos
            if not fits or self.frozen_at_us[team]:
                refused.append(entry)
                continue
            key = (entry.call_id, entry.attempt)
            if key in self.attempts:
                raise Collision(key)
            self.attempts[key] = Attempt(team, day, entry.hold_nanos, self.at_us)
            day.committed_nanos += entry.hold_nanos
            told[entry] = ("admitted", day.start_us, day.end_us, self.at_us)
        told.update((entry, self._refusal(entry, day)) for entry in refused)

    def _refusal(self, entry: Admission, day: Day) -> Told:
        if self.frozen_at_us[entry.team]:
            return ("TeamFrozen", entry.team)
        if entry.hold_nanos > entry.limit_nanos:
            return ("HoldExceedsLimit", entry.team, entry.limit_nanos, entry.hold_nanos)
        held_nanos = self.held(day)
        spent_nanos = day.committed_nanos - held_nanos
        kind = "BudgetInFlight" if spent_nanos + entry.hold_nanos <= entry.limit_nanos else "BudgetSpent"
        return (kind, entry.team, entry.limit_nanos, spent_nanos, held_nanos, entry.hold_nanos, day.end_us)

    def _note(self, entry: Note) -> None:
        call_id = entry.record.call_id
        is_again = call_id in self.answered
        if entry.keep and (call_id, 1) in self.attempts:
            self.answered.add(call_id)
        day = self.believed.get(entry.team)
        if day is None or self.at_us not in day:
            self.believed[entry.team] = self.in_force(entry.team, entry.zone)
        for usage in entry.usages:
            self.calls[entry.team, usage.reason] += 0 if is_again else usage.calls

    def adjust(self, team: str, zone: ZoneInfo, nanos: int, adjust_id: str, noon_us: int | None) -> Told:
        """An operator's adjustment."""
        known = self.adjusts.get(adjust_id)
        if known is not None:
            day = self._day(team, known[1]) if known[0] == team else None
            if day is None or known[2] != nanos or (noon_us is not None and noon_us not in day):
                return ("RequestIdReused", adjust_id)
            return self._held(team, day)
        day = self._past(team, zone, noon_us) if noon_us is not None else None
        day = day or self.in_force(team, zone)
        spent_nanos = day.committed_nanos - self.held(day)
        if nanos < 0 and spent_nanos + nanos < 0:
            return ("AdjustmentBelowZero", team, nanos, spent_nanos, self.held(day))
        day.committed_nanos += nanos
        self.adjusts[adjust_id] = (team, day.start_us, nanos)
        return self._held(team, day)

    def freeze(self, team: str, zone: ZoneInfo, *, frozen: bool) -> Told:
        """An operator's freeze, or its end."""
        if bool(self.frozen_at_us.setdefault(team, 0)) != frozen:
            self.frozen_at_us[team] = self.now_us if frozen else 0
        day = self._found(team, self.now_us) or self._opening(team, zone, self.now_us)
        return self._held(team, day)

    def forfeit(self, team: str, open_longer_than_us: int) -> Told:
        """Housekeeping."""
        overdue = [
            attempt
            for attempt in self.attempts.values()
            if (attempt.team, attempt.state) == (team, "open") and attempt.at_us <= self.now_us - open_longer_than_us
        ]
        for attempt in overdue:
            attempt.state = "forfeited"
        return ("forfeited", len(overdue))

    def in_force(self, team: str, zone: ZoneInfo) -> Day:
        """The day of the present, opened if it has to be."""
        self.frozen_at_us.setdefault(team, 0)
        return self._found(team, self.now_us) or self._open(team, self._opening(team, zone, self.now_us))

    def held(self, day: Day) -> int:
        """What attempts under way hold of a day."""
        return sum(each.hold_nanos for each in self.attempts.values() if each.day is day and each.state == "open")

    def _held(self, team: str, day: Day) -> Told:
        return (
            "held", day.start_us, day.end_us, day.committed_nanos, self.held(day), self.frozen_at_us[team]
        )  # fmt: skip

    def _past(self, team: str, zone: ZoneInfo, at_us: int) -> Day | None:
        """The day of an instant, if it is over."""
        self.frozen_at_us.setdefault(team, 0)
        found = self._found(team, at_us)
        day = found or self._opening(team, zone, at_us)
        if day.end_us > self.now_us:
            return None
        return found or self._open(team, day)

    def _opening(self, team: str, zone: ZoneInfo, at_us: int) -> Day:
        """A new day: as the calendar has it, as far as no other day of the budget has it already."""
        day = period_at(zone, at_us)
        before = [other.end_us for other in self.days[team] if other.end_us <= at_us]
        behind = [other.start_us for other in self.days[team] if other.start_us > at_us]
        return Day(max([day.start_us, *before]), min([day.end_us, *behind]))

    def _open(self, team: str, day: Day) -> Day:
        self.days[team].append(day)
        return day

    def _found(self, team: str, at_us: int) -> Day | None:
        return next((day for day in self.days[team] if at_us in day), None)

    def _day(self, team: str, start_us: int) -> Day:
        return next(day for day in self.days[team] if day.start_us == start_us)

"""One group commit: what many calls want of the books, as one transaction.

Statements are sent in one order everywhere — attempts, budgets by name, rollups by key, the trail — so that
replicas wait for each other and never in a circle.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from service.books import holding, ledger, rollups, trail
from service.books.entries import Admission, Admitted, Entry, Note, Settled, Settlement, Withdrawal, Work
from service.books.period import Period, period_at
from service.books.records import Record
from service.books.rollups import Counted
from service.books.trail import Pen
from service.storage.database import Transaction


class HoldMissing(Exception):
    """An attempt ends whose hold is not there, or ended in another way: the database has lost what it acknowledged."""


class Written(NamedTuple):
    """What a transaction did, once it is committed."""

    results: list[tuple[Entry, Any]]
    """For each entry what its `done` gives, or the exception that refuses it."""
    pen: Pen
    periods: dict[str, Period]
    """The period each budget was found in."""


async def write_batch(
    tx: Transaction, entries: Sequence[Entry], pen: Pen, periods: Mapping[str, Period], now_us: int
) -> Written:
    """Writes *entries*, all of them or, by an exception, none; what does not fit a budget is refused by itself.

    Args:
        tx: An open transaction.
        entries: What to write.
        pen: Where this writer's chain ends.
        periods: The period in force of each budget, as far as it is known.
        now_us: The time to date records with.
    """
    now_us = max(now_us, pen.at_us)  # what is counted bears the very time of its record
    batch = _Batch(tx, dict(periods), now_us)
    await batch.settle([entry for entry in entries if isinstance(entry, Settlement)])
    for entry in entries:
        if isinstance(entry, Withdrawal):
            await batch.withdraw(entry)
    await batch.answer([entry for entry in entries if isinstance(entry, Note) and entry.keep])
    await batch.balance(
        [entry for entry in entries if isinstance(entry, Admission)],
        {entry.team: entry.zone for entry in entries if isinstance(entry, Note) and entry.usages},
    )
    for entry in entries:
        if isinstance(entry, Note):
            batch.note(entry)
        elif isinstance(entry, Work):
            await batch.work(entry)
    await rollups.count(tx, batch.counted)
    if batch.records:
        pen = await trail.write(tx, pen, batch.records, now_us)
    return Written(batch.results, pen, batch.periods)


@dataclass(slots=True)
class _Batch:
    tx: Transaction
    periods: dict[str, Period]
    now_us: int
    results: list[tuple[Entry, Any]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    releases: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    settled: list[Settlement] = field(default_factory=list)
    written_before: list[Note] = field(default_factory=list)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Ends attempts; one that had ended before leaves no second record."""
        if not settlements:
            return
        released = await ledger.settle_each(self.tx, settlements)
        for entry in settlements:
            change = released.pop((entry.call_id, entry.attempt), None)
            if change is None and not await ledger.has_ended_so(self.tx, entry):
                self.results.append((entry, HoldMissing(entry.call_id, entry.attempt)))
                continue
            self.settled.append(entry)
            # A budget that nothing comes back to is looked at all the same: its caller is told what is left.
            self.releases[entry.team][entry.admitted.period.start_us] += 0 if change is None else change.nanos
            if change is not None:
                self.records.append(entry.outcome)
                admitted = entry.admitted
                charge_nanos = entry.charge_nanos or 0
                self.counted.append(Counted(entry.team, entry.usage, charge_nanos, admitted.at_us, admitted.period))

    async def withdraw(self, entry: Withdrawal) -> None:
        admission = entry.admission
        period = self._known(entry.team) or period_at(admission.zone, self.now_us)
        found = await ledger.withdraw(self.tx, admission, period, self.now_us)
        if found is not None:
            end = admission.voided(found)
            self.releases[entry.team][found.period.start_us] += found.hold_nanos
            self.records.append(end.outcome)
            self.counted.append(Counted(entry.team, end.usage, 0, found.at_us, found.period))
        self.results.append((entry, None))

    async def answer(self, kept: Sequence[Note]) -> None:
        """Finds the kept answers that were written before, by a commit of which nobody knew."""
        for entry in sorted(kept, key=lambda each: each.record.call_id):
            if entry.record.call_id:
                period = self._known(entry.team) or period_at(entry.zone, self.now_us)
                if await ledger.written_before(self.tx, entry, period, self.now_us):
                    self.written_before.append(entry)

    async def work(self, entry: Work) -> None:
        result, notices = await entry.act(self.tx)
        if notices is not None:
            self.records += notices if isinstance(notices, list) else [notices]
        self.results.append((entry, result))

    async def balance(self, admissions: Sequence[Admission], counting: Mapping[str, ZoneInfo]) -> None:
        """Gives back what was not spent and takes what is asked for, budget by budget.

        Args:
            admissions: What is asked for.
            counting: Budgets whose day in force something else counts for, and where their days begin.
        """
        asked: dict[str, list[Admission]] = defaultdict(list)
        for admission in admissions:
            asked[admission.team].append(admission)
        committed: dict[tuple[str, int], int] = {}
        taken: list[tuple[Admission, Period]] = []
        for budget_id in sorted({*self.releases, *asked, *counting}):
            balance = await holding.balance(
                self.tx, budget_id, asked[budget_id], self.releases[budget_id], self._known(budget_id)
            )
            committed.update(((budget_id, start_us), nanos) for start_us, nanos in balance.committed.items())
            taken += balance.taken
            self.results += balance.refused
            if balance.period is not None:
                self.periods[budget_id] = balance.period
            if budget_id in counting and self._known(budget_id) is None:  # it may be the first of the day
                self.periods[budget_id] = (await ledger.in_force(self.tx, budget_id, counting[budget_id])).period
        await self._admit(taken)
        for entry in self.settled:
            nanos = committed[entry.team, entry.admitted.period.start_us]
            self.results.append((entry, Settled(nanos)))

    async def _admit(self, taken: list[tuple[Admission, Period]]) -> None:
        if not taken:
            return
        await self.tx.execute_each(*ledger.hold_step(taken, self.now_us))
        for admission, period in taken:
            self.records.append(Record("intent", admission.call_id, admission.team, admission.intent(period)))
            self.results.append((admission, Admitted(period, self.now_us, admission.hold_nanos)))

    def note(self, entry: Note) -> None:
        record = entry.record
        if entry in self.written_before:
            self.results.append((entry, None))
            return
        if entry.usages:
            period = self.periods[entry.team]  # the day that its team's attempts are of
            self.counted += [Counted(entry.team, usage, 0, self.now_us, period) for usage in entry.usages]
            record = record.of_day(period)
        self.records.append(record)
        self.results.append((entry, None))

    def _known(self, budget_id: str) -> Period | None:
        return known_period(self.periods, budget_id, self.now_us)


def known_period(periods: Mapping[str, Period], budget_id: str, now_us: int) -> Period | None:
    """The period that a budget was found in last, if the present is in it."""
    period = periods.get(budget_id)
    return period if period is not None and period.start_us <= now_us < period.end_us else None

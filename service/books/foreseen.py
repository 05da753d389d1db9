"""A batch as nearly all go: every attempt ends that is to, and every budget bears at once what is asked of it.

Its statements are known before the first of them runs, so it is a script. They are those of `write_batch`, in the same
order; if one of them finds nothing to change, none has happened, and `write_batch` looks what is the matter.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from service.books import ledger, rollups, trail
from service.books.batch import Written, known_period
from service.books.entries import Admission, Admitted, Entry, Note, Settled, Settlement
from service.books.period import Period
from service.books.records import Record
from service.books.rollups import Counted
from service.books.trail import Pen
from service.storage.database import Script, Step


def foresee(entries: Sequence[Entry], pen: Pen, periods: Mapping[str, Period], now_us: int) -> Script[Written] | None:
    """The script of a batch; None if something has to be looked at first. Arguments as of `write_batch`."""
    now_us = max(now_us, pen.at_us)
    settlements: list[Settlement] = []
    admissions: list[Admission] = []
    notes: list[tuple[Note, Period | None]] = []
    for entry in entries:
        if isinstance(entry, Settlement):
            settlements.append(entry)
        elif isinstance(entry, Admission):
            admissions.append(entry)
        elif isinstance(entry, Note) and not entry.keep:
            notes.append((entry, known_period(periods, entry.team, now_us) if entry.usages else None))
        else:
            return None
    moves = _moves(settlements, admissions, periods, now_us)
    if moves is None or not pen.seq or any(note.usages and day is None for note, day in notes):
        return None
    steps, moved, taken = moves
    records, counted = _records(settlements, taken, notes, now_us)
    if settlements:
        steps.insert(0, ledger.settle_step(settlements))
    if taken:
        steps.append(ledger.hold_step(taken, now_us))
    append, after = trail.append_steps(pen, records, now_us)
    steps += [*rollups.count_steps(counted), *append]
    results: list[tuple[Entry, Any]] = [(each, Admitted(day, now_us, each.hold_nanos)) for each, day in taken]
    results += [(note, None) for note, _ in notes]

    def written(numbers: Sequence[int]) -> Written:
        # Behind a number for each settlement come the new sums of the periods that moved.
        sums = dict(zip(moved, numbers[len(settlements) :], strict=False))
        ends = [(each, Settled(sums[each.team, each.admitted.period.start_us])) for each in settlements]
        return Written([*ends, *results], after, dict(periods))

    return Script(steps, written)


def _moves(
    settlements: Sequence[Settlement], admissions: Sequence[Admission], periods: Mapping[str, Period], now_us: int
) -> tuple[list[Step], list[tuple[str, int]], list[tuple[Admission, Period]]] | None:
    """What moves in the budgets, one after the other: the statements, the periods that they move, and who holds."""
    releases: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for end in settlements:
        nanos = 0 if end.charge_nanos is None else end.admitted.hold_nanos - end.charge_nanos
        releases[end.team][end.admitted.period.start_us] += nanos
    asked: dict[str, list[Admission]] = defaultdict(list)
    for admission in admissions:
        asked[admission.team].append(admission)
    steps: list[Step] = []
    moved: list[tuple[str, int]] = []
    taken: list[tuple[Admission, Period]] = []
    for budget_id in sorted({*releases, *asked}):
        nanos_by_day, wanted = releases[budget_id], asked[budget_id]
        period = known_period(periods, budget_id, now_us)
        if wanted:
            if period is None or any(each.limit_nanos != wanted[0].limit_nanos for each in wanted):
                return None
            nanos_by_day[period.start_us] -= sum(each.hold_nanos for each in wanted)
            taken += [(each, period) for each in wanted]
        for start_us in sorted(nanos_by_day):
            if wanted and period is not None and start_us == period.start_us:
                steps.append(ledger.move_step(budget_id, period, -nanos_by_day[start_us], wanted[0].limit_nanos))
            else:
                steps.append(ledger.release_step(budget_id, start_us, nanos_by_day[start_us]))
            moved.append((budget_id, start_us))
    return steps, moved, taken


def _records(
    settlements: Sequence[Settlement],
    taken: Sequence[tuple[Admission, Period]],
    notes: Sequence[tuple[Note, Period | None]],
    now_us: int,
) -> tuple[list[Record], list[Counted]]:
    records = [end.outcome for end in settlements]
    counted = [
        Counted(end.team, end.usage, end.charge_nanos or 0, end.admitted.at_us, end.admitted.period)
        for end in settlements
    ]
    records += [Record("intent", each.call_id, each.team, each.intent(day)) for each, day in taken]
    for note, day in notes:
        if day is None:
            records.append(note.record)
        else:
            records.append(note.record.of_day(day))
            counted += [Counted(note.team, usage, 0, now_us, day) for usage in note.usages]
    return records, counted

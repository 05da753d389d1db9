"""One budget's part of a batch: what comes back to it, and which of the holds asked for it can bear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.books import ledger
from service.books.entries import Admission, Entry
from service.books.errors import BooksError, BooksUnavailable, BudgetInFlight, BudgetSpent, HoldExceedsLimit, TeamFrozen
from service.books.ledger import Standing
from service.books.period import Period
from service.storage.database import Transaction

_RACES_MAX = 10
"""How often other replicas may be faster before the rest of a batch is told that the budget is busy."""


@dataclass(slots=True)
class Balance:
    """How one budget came out of a batch."""

    taken: list[tuple[Admission, Period]] = field(default_factory=list)
    refused: list[tuple[Entry, BooksError]] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    """By the period's start in µs: what is committed of it now, in nanos."""
    period: Period | None = None
    """The period in force, if it was looked for."""


async def balance(
    tx: Transaction, budget_id: str, asked: Sequence[Admission], releases: Mapping[int, int], known: Period | None
) -> Balance:
    """Gives back and takes, in one statement if all fits, as it mostly does.

    Args:
        tx: An open transaction.
        budget_id: Whose budget.
        asked: Who wants to hold, in their order.
        releases: By the period's start in µs: what comes back to it, in nanos.
        known: The period believed to be in force.
    """
    result = Balance()
    left = dict(releases)
    if asked and known is not None and len({admission.limit_nanos for admission in asked}) == 1:
        # Older days first, as everywhere: at midnight replicas have ends of yesterday's attempts beside today's holds.
        await _release(tx, budget_id, left, result, before_us=known.start_us)
        nanos = sum(admission.hold_nanos for admission in asked) - left.get(known.start_us, 0)
        committed = await ledger.move(tx, budget_id, known, nanos, asked[0].limit_nanos)
        if committed is not None:
            left.pop(known.start_us, None)
            result.committed[known.start_us] = committed
            result.taken = [(admission, known) for admission in asked]
            asked = ()
    await _release(tx, budget_id, left, result)
    for limit_nanos in dict.fromkeys(admission.limit_nanos for admission in asked):  # two only just after a reload
        await _take_what_fits(tx, budget_id, limit_nanos, [a for a in asked if a.limit_nanos == limit_nanos], result)
    return result


async def _release(
    tx: Transaction, budget_id: str, left: dict[int, int], result: Balance, *, before_us: int | None = None
) -> None:
    """Gives back what is *left* of days that begin before an instant, or of all, the oldest first."""
    for start_us in sorted(start_us for start_us in left if before_us is None or start_us < before_us):
        result.committed[start_us] = await ledger.release(tx, budget_id, start_us, left.pop(start_us))


async def _take_what_fits(
    tx: Transaction, budget_id: str, limit_nanos: int, asked: Sequence[Admission], result: Balance
) -> None:
    """Serves *asked* in order: who does not fit is refused, who fits behind is not."""
    for _ in range(_RACES_MAX):
        now = await ledger.in_force(tx, budget_id, asked[0].zone)
        result.period = now.period
        fitting = _fitting(now, asked)
        if fitting:
            nanos = sum(admission.hold_nanos for admission in fitting)
            committed = await ledger.move(tx, budget_id, now.period, nanos, limit_nanos)
            if committed is None:  # another replica was faster, or the day turned
                continue
            result.committed[now.period.start_us] = committed
            result.taken += [(admission, now.period) for admission in fitting]
            asked = [admission for admission in asked if admission not in fitting]
        if not asked:
            return
        refused = await _refused(tx, budget_id, now, asked, result)
        if refused:
            result.refused += refused
            return
    result.refused += [(a, BooksUnavailable("too many replicas want this budget at once", budget_id)) for a in asked]


def _fitting(now: Standing, asked: Sequence[Admission]) -> list[Admission]:
    """Those of *asked* that fit, the first first."""
    fitting: list[Admission] = []
    if now.frozen_at_us:
        return fitting
    committed_nanos = now.committed_nanos
    for admission in asked:
        if committed_nanos + admission.hold_nanos <= admission.limit_nanos:
            committed_nanos += admission.hold_nanos
            fitting.append(admission)
    return fitting


async def _refused(
    tx: Transaction, budget_id: str, now: Standing, asked: Sequence[Admission], result: Balance
) -> list[tuple[Entry, BooksError]]:
    """Why none of *asked* fits; empty if one does after all, for something has come back meanwhile."""
    if now.frozen_at_us:
        return [(admission, TeamFrozen(budget_id)) for admission in asked]
    committed_nanos, held_nanos = await ledger.committed_and_held(tx, budget_id, now.period.start_us)
    if any(committed_nanos + admission.hold_nanos <= admission.limit_nanos for admission in asked):
        return []
    held_nanos += sum(admission.hold_nanos for admission, _ in result.taken)  # written at the end of the batch
    return [(admission, _refusal(admission, now.period, committed_nanos, held_nanos)) for admission in asked]


def _refusal(admission: Admission, period: Period, committed_nanos: int, held_nanos: int) -> BooksError:
    """Why a hold does not fit: never, not today, or not while others run."""
    hold_nanos, limit_nanos = admission.hold_nanos, admission.limit_nanos
    if hold_nanos > limit_nanos:
        return HoldExceedsLimit(admission.team, limit_nanos=limit_nanos, hold_nanos=hold_nanos)
    spent_nanos = committed_nanos - held_nanos
    kind = BudgetInFlight if spent_nanos + hold_nanos <= limit_nanos else BudgetSpent
    return kind(
        admission.team,
        limit_nanos=limit_nanos,
        spent_nanos=spent_nanos,
        held_nanos=held_nanos,
        hold_nanos=hold_nanos,
        resets_at_us=period.end_us,
    )

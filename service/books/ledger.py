"""Who may spend what: the statements of the budgets, each atomic by itself, all inside the committer's transaction.

A budget's period is one row, and what it has committed (spent + held) moves in that row alone. The limit is a
parameter of the statement that holds, never stored, so that a new one counts at once. Conditions stand on the
row itself: PostgreSQL evaluates them again after waiting for its lock, which it does not do for other tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from service.books.entries import Admission, Admitted, Settlement
from service.books.period import Period, period_at, period_to_open
from service.storage.database import Transaction

_MOVE = """
UPDATE budget_period SET committed_nanos = committed_nanos + $1
WHERE budget_id = $2 AND period_start_us = $3
  AND frozen = 0 AND period_start_us <= clock_us() AND clock_us() < period_end_us
  AND committed_nanos + $1 <= $4
RETURNING committed_nanos"""
_RELEASE = """
UPDATE budget_period SET committed_nanos = committed_nanos - $1 WHERE budget_id = $2 AND period_start_us = $3
RETURNING committed_nanos"""
_HOLD = """
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, state,
                       price_version, at_us, endpoint, model, credential_id)
VALUES ($1, $2, $3, $4, $5, NULL, 'open', $6, $7, $8, $9, $10)"""
_SETTLE = """
UPDATE call_hold SET charge_nanos = $1, state = $2
WHERE call_id = $3 AND attempt = $4 AND (state = 'open' OR (state = 'forfeited' AND $2 <> 'forfeited'))
RETURNING call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos"""
_WITHDRAW = """
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, state,
                       price_version, at_us, endpoint, model, credential_id)
VALUES ($1, $2, $3, $4, 0, 0, 'void', '', $5, '', '', '')
ON CONFLICT (call_id, attempt) DO UPDATE SET charge_nanos = 0, state = 'void' WHERE call_hold.state = 'open'
RETURNING period_start_us, hold_nanos, price_version, at_us"""
_STANDING = """
SELECT b.period_start_us, b.period_end_us, b.frozen_at_us, p.period_start_us, p.period_end_us, p.committed_nanos, clock_us()
FROM budget AS b
LEFT JOIN budget_period AS p
  ON p.budget_id = b.budget_id AND p.period_start_us <= clock_us() AND clock_us() < p.period_end_us
WHERE b.budget_id = $1"""
_END = "SELECT period_end_us FROM budget_period WHERE budget_id = $1 AND period_start_us = $2"
_CLOCK = "SELECT clock_us()"
_HELD = """
SELECT CAST(COALESCE(SUM(hold_nanos), 0) AS BIGINT) FROM call_hold
WHERE budget_id = $1 AND period_start_us = $2 AND state = 'open'"""
_KNOW = """
INSERT INTO budget (budget_id, period_start_us, period_end_us, frozen_at_us) VALUES ($1, 0, 0, 0)
ON CONFLICT (budget_id) DO NOTHING"""
_TURN = """
UPDATE budget SET period_start_us = $1, period_end_us = $2
WHERE budget_id = $3 AND period_end_us <= $1 AND $1 <= clock_us() AND clock_us() < $2
RETURNING frozen_at_us"""
_OPEN = """
INSERT INTO budget_period (budget_id, period_start_us, period_end_us, committed_nanos, frozen)
VALUES ($1, $2, $3, 0, $4)"""


_TRIES = 5


class ClockStrayed(Exception):
    """The database's clock is before every period of a budget, and nothing can be held until it is not."""


class Released(NamedTuple):
    """What one settlement changed: it found its hold unresolved."""

    budget_id: str
    period_start_us: int
    nanos: int
    """Given back to the period; negative if Cohere billed more than was held."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget as it stands."""

    period: Period
    """The one that contains the database's present."""
    committed_nanos: int
    frozen_at_us: int
    """When an operator froze the team; 0 if it is not frozen."""


async def settle_each(tx: Transaction, settlements: Sequence[Settlement]) -> dict[tuple[str, int], Released]:
    """Ends attempts; those that had ended before are not in the result, and nothing of them changes."""
    rows = await tx.fetch_each(_SETTLE, [(s.charge_nanos, s.state, s.call_id, s.attempt) for s in settlements])
    return {
        (call_id, attempt): Released(budget_id, start_us, 0 if charge is None else hold - charge)
        for call_id, attempt, budget_id, start_us, hold, charge in rows
    }


async def withdraw(tx: Transaction, admission: Admission, period: Period, now_us: int) -> tuple[Admitted, int] | None:
    """Voids an admission that may or may not have been committed; gives when it was, and what it held in nanos.

    None if nothing was held: a void hold without a price now stands in its place.
    """
    budget_id = admission.team
    rows = await tx.fetch(_WITHDRAW, admission.call_id, admission.attempt, budget_id, period.start_us, now_us)
    if not rows or not rows[0][2]:
        return None
    start_us, hold_nanos, _, admitted_at_us = rows[0]
    end_us = (await tx.fetch(_END, budget_id, start_us))[0][0]
    return Admitted(Period(start_us, end_us), admitted_at_us), hold_nanos


async def move(tx: Transaction, budget_id: str, period: Period, nanos: int, limit_nanos: int) -> int | None:
    """Commits *nanos* more of a period if it is in force, not frozen, and stays within its limit.

    Returns:
        What is committed then; None if nothing was.
    """
    rows = await tx.fetch(_MOVE, nanos, budget_id, period.start_us, limit_nanos)
    return rows[0][0] if rows else None


async def release(tx: Transaction, budget_id: str, period_start_us: int, nanos: int) -> int:
    """Gives back what was held and not spent, and returns what is committed then."""
    return int((await tx.fetch(_RELEASE, nanos, budget_id, period_start_us))[0][0])


async def hold_each(tx: Transaction, admissions: Sequence[tuple[Admission, Period]], at_us: int) -> None:
    """Writes the hold of each admission.

    Raises:
        Conflict: An attempt has a hold already.
    """
    await tx.execute_each(
        _HOLD,
        [
            (a.call_id, a.attempt, a.team, period.start_us, a.hold_nanos,
             a.price_version, at_us, a.endpoint, a.model, a.credential_id)
            for a, period in admissions
        ],
    )  # fmt: skip


async def held(tx: Transaction, budget_id: str, period_start_us: int) -> int:
    """Sum of the holds of the attempts under way."""
    return int((await tx.fetch(_HELD, budget_id, period_start_us))[0][0])


async def standing(tx: Transaction, budget_id: str, zone: ZoneInfo) -> Standing:
    """The budget as it stands, in the period that the database's clock is in; nothing is committed of a new one."""
    last, now, now_us = await _look(tx, budget_id)
    if now is not None:
        return now
    period = period_at(zone, now_us) if last is None else period_to_open(last.period, period_at(zone, now_us))
    return Standing(period, 0, last.frozen_at_us if last else 0)


async def in_force(tx: Transaction, budget_id: str, zone: ZoneInfo) -> Standing:
    """The budget with the period that the database's clock is in, opened if it has to be.

    Periods never overlap, whatever zones the replicas believe in: each begins by compare-and-set on the row of
    the budget, at the earliest where the last one ended.

    Raises:
        ClockStrayed: The database's clock is in no period that can be, as after a step back over days.
    """
    for _ in range(_TRIES):
        last, now, now_us = await _look(tx, budget_id)
        if now is not None:
            return now
        if last is None:
            await know(tx, budget_id)
        else:
            await _open(tx, budget_id, period_to_open(last.period, period_at(zone, now_us)))
    raise ClockStrayed(budget_id)


async def _look(tx: Transaction, budget_id: str) -> tuple[Standing | None, Standing | None, int]:
    """The last period begun, the one of the database's present, and that present in µs."""
    rows = await tx.fetch(_STANDING, budget_id)
    if not rows:
        return None, None, int((await tx.fetch(_CLOCK))[0][0])
    last_start, last_end, frozen_at_us, start, end, committed_nanos, now_us = rows[0]
    last = Standing(Period(last_start, last_end), 0, frozen_at_us)
    now = None if start is None else Standing(Period(start, end), committed_nanos, frozen_at_us)
    return last, now, now_us


async def know(tx: Transaction, budget_id: str) -> None:
    """Makes sure that the budget has its row."""
    await tx.fetch(_KNOW, budget_id)


async def _open(tx: Transaction, budget_id: str, period: Period) -> None:
    turned = await tx.fetch(_TURN, period.start_us, period.end_us, budget_id)
    if turned:  # else another replica was first, or the clock went on
        await tx.fetch(_OPEN, budget_id, period.start_us, period.end_us, int(turned[0][0] > 0))

"""Who may spend what: the statements of the budgets, each atomic by itself, all inside the committer's transaction.

A budget's period is one row, and what it has committed (spent + held) moves in that row alone. The limit is a
parameter of the statement that holds, never stored, so that a new one counts at once. Conditions stand on the
row itself: PostgreSQL evaluates them again after waiting for its lock, which it does not do for other tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

from service.books.entries import Admission, Admitted, Note, Settlement
from service.books.period import Period, period_at
from service.storage.database import Step, Transaction

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
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome, state,
                       price_version, at_us, endpoint, model, credential_id)
VALUES ($1, $2, $3, $4, $5, NULL, 0, 'open', $6, $7, $8, $9, $10)"""
_SETTLE = """
UPDATE call_hold SET charge_nanos = $1, state = $2, has_outcome = 1
WHERE call_id = $3 AND attempt = $4 AND has_outcome = 0 AND state IN ('open', 'forfeited')
RETURNING call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos"""
_SETTLE_HELD = """
UPDATE call_hold SET charge_nanos = $1, state = $2, has_outcome = 1
WHERE call_id = $3 AND attempt = $4 AND has_outcome = 0 AND state IN ('open', 'forfeited') AND hold_nanos = $5
RETURNING hold_nanos"""
_SETTLED = "SELECT charge_nanos, state, has_outcome FROM call_hold WHERE call_id = $1 AND attempt = $2"
_WITHDRAW = """
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome, state,
                       price_version, at_us, endpoint, model, credential_id)
VALUES ($1, $2, $3, $4, 0, 0, 0, 'void', '', $5, '', '', '')
ON CONFLICT (call_id, attempt) DO UPDATE SET charge_nanos = 0, state = 'void', has_outcome = 1
  WHERE call_hold.has_outcome = 0 AND call_hold.state IN ('open', 'forfeited')
RETURNING period_start_us, hold_nanos, price_version, at_us"""
_WRITTEN = """
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome, state,
                       price_version, at_us, endpoint, model, credential_id, answer_writes, correction_writes)
VALUES ($1, 1, $2, $3, 0, 0, 0, 'void', '', $4, '', '', '', $5, $6)
ON CONFLICT (call_id, attempt) DO UPDATE SET answer_writes = call_hold.answer_writes + $5,
  correction_writes = call_hold.correction_writes + $6
RETURNING answer_writes, correction_writes"""
_STANDING = """
SELECT b.frozen_at_us, p.period_start_us, p.period_end_us, p.committed_nanos
FROM budget AS b
LEFT JOIN budget_period AS p
  ON p.budget_id = b.budget_id AND p.period_start_us <= clock_us() AND clock_us() < p.period_end_us
WHERE b.budget_id = $1"""
_END = "SELECT period_end_us FROM budget_period WHERE budget_id = $1 AND period_start_us = $2"
_CLOCK = "SELECT clock_us()"
_FROZEN = """
SELECT COALESCE((SELECT frozen_at_us FROM budget WHERE budget_id = $1), 0), clock_us()"""
_HELD = """
SELECT CAST(COALESCE(SUM(hold_nanos), 0) AS BIGINT) FROM call_hold
WHERE budget_id = $1 AND period_start_us = $2 AND state = 'open'"""
# One statement, and so one snapshot: on PostgreSQL what is read by two can have changed between them.
_COMMITTED_AND_HELD = """
SELECT p.committed_nanos, (SELECT CAST(COALESCE(SUM(h.hold_nanos), 0) AS BIGINT) FROM call_hold AS h
  WHERE h.budget_id = $1 AND h.period_start_us = $2 AND h.state = 'open')
FROM budget_period AS p WHERE p.budget_id = $1 AND p.period_start_us = $2"""
_FORFEITED = """
SELECT CAST(COALESCE(SUM(hold_nanos), 0) AS BIGINT) FROM call_hold
WHERE budget_id = $1 AND period_start_us = $2 AND state = 'forfeited'"""
_KNOW = "INSERT INTO budget (budget_id, frozen_at_us) VALUES ($1, 0) ON CONFLICT (budget_id) DO NOTHING"
_PROBE = """
INSERT INTO budget AS b (budget_id, frozen_at_us) VALUES ('', 0)
ON CONFLICT (budget_id) DO UPDATE SET frozen_at_us = b.frozen_at_us
RETURNING clock_us()"""
_LOCK = "UPDATE budget SET frozen_at_us = frozen_at_us WHERE budget_id = $1 RETURNING frozen_at_us, clock_us()"
_AT = """
SELECT period_start_us, period_end_us FROM budget_period
WHERE period_start_us <= $1 AND $1 < period_end_us AND budget_id = $2"""
_NEIGHBOURS = """
SELECT MAX(CASE WHEN period_start_us <= $1 THEN period_end_us END),
       MIN(CASE WHEN period_start_us > $1 THEN period_start_us END)
FROM budget_period WHERE budget_id = $2"""
_OPEN = """
INSERT INTO budget_period (budget_id, period_start_us, period_end_us, committed_nanos, frozen)
VALUES ($1, $2, $3, 0, $4)"""


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
    # Sorted, as everywhere: another replica may be forfeiting the same holds.
    ends = sorted((s.call_id, s.attempt, s.charge_nanos, s.state) for s in settlements)
    rows = await tx.fetch_each(_SETTLE, [(charge, state, call_id, attempt) for call_id, attempt, charge, state in ends])
    return {
        (call_id, attempt): Released(budget_id, start_us, 0 if charge is None else hold - charge)
        for call_id, attempt, budget_id, start_us, hold, charge in rows
    }


def settle_step(settlements: Sequence[Settlement]) -> Step:
    """Ends attempts that are believed to have none yet, and to hold what they were admitted with."""
    rows = [(s.charge_nanos, s.state, s.call_id, s.attempt, s.admitted.hold_nanos) for s in settlements]
    return Step(_SETTLE_HELD, sorted(rows, key=itemgetter(2, 3)))


async def has_ended_so(tx: Transaction, settlement: Settlement) -> bool:
    """Tells whether an attempt had ended before, just as *settlement* says."""
    rows = await tx.fetch(_SETTLED, settlement.call_id, settlement.attempt)
    return rows == [(settlement.charge_nanos, settlement.state, 1)]


async def withdraw(tx: Transaction, admission: Admission, period: Period, now_us: int) -> Admitted | None:
    """Voids an admission that may or may not have been committed; gives what it was.

    None if nothing was held: a void hold without a price now stands in its place.
    """
    budget_id = admission.team
    rows = await tx.fetch(_WITHDRAW, admission.call_id, admission.attempt, budget_id, period.start_us, now_us)
    if not rows or not rows[0][2]:
        return None
    start_us, hold_nanos, _, admitted_at_us = rows[0]
    end_us = (await tx.fetch(_END, budget_id, start_us))[0][0]
    return Admitted(Period(start_us, end_us), admitted_at_us, hold_nanos)


async def written_before(tx: Transaction, answer: Note, period: Period, now_us: int) -> bool:
    """Takes note that a call's answer record, or the correction of it, is written; tells whether it was already.

    Of a call without an attempt a void hold without a price stands for that.
    """
    kind = (1 - answer.corrects, int(answer.corrects))
    rows = await tx.fetch(_WRITTEN, answer.record.call_id, answer.team, period.start_us, now_us, *kind)
    return bool(rows[0][answer.corrects] > 1)


async def move(tx: Transaction, budget_id: str, period: Period, nanos: int, limit_nanos: int) -> int | None:
    """Commits *nanos* more of a period if it is in force, not frozen, and stays within its limit.

    Returns:
        What is committed then; None if nothing was.
    """
    rows = await tx.fetch(_MOVE, nanos, budget_id, period.start_us, limit_nanos)
    return rows[0][0] if rows else None


def move_step(budget_id: str, period: Period, nanos: int, limit_nanos: int) -> Step:
    """What `move` does."""
    return Step(_MOVE, [(nanos, budget_id, period.start_us, limit_nanos)])


async def release(tx: Transaction, budget_id: str, period_start_us: int, nanos: int) -> int:
    """Gives back what was held and not spent, and returns what is committed then."""
    return int((await tx.fetch(_RELEASE, nanos, budget_id, period_start_us))[0][0])


def release_step(budget_id: str, period_start_us: int, nanos: int) -> Step:
    """What `release` does."""
    return Step(_RELEASE, [(nanos, budget_id, period_start_us)])


def hold_step(admissions: Sequence[tuple[Admission, Period]], at_us: int) -> Step:
    """Writes the hold of each admission; a Conflict if an attempt has one already."""
    rows = [
        (a.call_id, a.attempt, a.team, period.start_us, a.hold_nanos,
         a.price_version, at_us, a.endpoint, a.model, a.credential_id)
        for a, period in admissions
    ]  # fmt: skip
    return Step(_HOLD, rows)


async def held(tx: Transaction, budget_id: str, period_start_us: int) -> int:
    """Sum of the holds of the attempts under way."""
    return int((await tx.fetch(_HELD, budget_id, period_start_us))[0][0])


async def committed_and_held(tx: Transaction, budget_id: str, period_start_us: int) -> tuple[int, int]:
    """What a period has spent and holds, and how much of it attempts under way hold: as of one instant."""
    committed_nanos, held_nanos = (await tx.fetch(_COMMITTED_AND_HELD, budget_id, period_start_us))[0]
    return committed_nanos, held_nanos


async def forfeited(tx: Transaction, budget_id: str, period_start_us: int) -> int:
    """Sum of the holds that stay charged because nobody knows what their attempts cost."""
    return int((await tx.fetch(_FORFEITED, budget_id, period_start_us))[0][0])


async def standing(tx: Transaction, budget_id: str, zone: ZoneInfo) -> Standing:
    """The budget as it stands in the period of the database's present, begun or not."""
    now = await _look(tx, budget_id)
    if now is not None:
        return now
    frozen_at_us, now_us = (await tx.fetch(_FROZEN, budget_id))[0]
    return Standing(await _next_period(tx, budget_id, zone, now_us), 0, frozen_at_us)


async def in_force(tx: Transaction, budget_id: str, zone: ZoneInfo) -> Standing:
    """The budget with the period that the database's clock is in, opened if it has to be.

    Periods never overlap, whatever zones the replicas believe in and wherever the clock has been: a new one ends
    where a later one begins, and begins where an earlier one ends.
    """
    now = await _look(tx, budget_id)
    if now is not None:
        return now
    await know(tx, budget_id)
    frozen_at_us, now_us = (await tx.fetch(_LOCK, budget_id))[0]
    now = await _look(tx, budget_id)
    if now is not None:  # another replica was first
        return now
    period = await _next_period(tx, budget_id, zone, now_us)
    await tx.fetch(_OPEN, budget_id, period.start_us, period.end_us, int(frozen_at_us > 0))
    return Standing(period, 0, frozen_at_us)


def period_between(before_us: int | None, after_us: int | None, zone: ZoneInfo, now_us: int) -> Period:
    """The period of *now_us* where none is open: the zone's day, kept off its neighbours.

    Args:
        before_us: Where the budget's last period before *now_us* ends, if there is one.
        after_us: Where its first one after *now_us* begins, if there is one.
        zone: Where its days begin.
        now_us: The present, µs since the epoch.
    """
    day = period_at(zone, now_us)
    start_us = day.start_us if before_us is None else max(day.start_us, before_us)
    return Period(start_us, day.end_us if after_us is None else min(day.end_us, after_us))


async def ended(tx: Transaction, budget_id: str, zone: ZoneInfo, at_us: int) -> Period | None:
    """The period of an instant, opened if it has to be; None if it is not over yet by the database's clock."""
    found = await _at(tx, budget_id, at_us)
    if found is None:
        await know(tx, budget_id)
        await tx.fetch(_LOCK, budget_id)
        found = await _at(tx, budget_id, at_us)
    frozen_at_us, now_us = (await tx.fetch(_FROZEN, budget_id))[0]
    period = found or await _next_period(tx, budget_id, zone, at_us)
    if period.end_us > now_us:
        return None
    if found is None:
        await tx.fetch(_OPEN, budget_id, period.start_us, period.end_us, int(frozen_at_us > 0))
    return period


async def clock(tx: Transaction) -> int:
    """The database's time, µs since the epoch."""
    return int((await tx.fetch(_CLOCK))[0][0])


async def know(tx: Transaction, budget_id: str) -> None:
    """Makes sure that the budget has its row."""
    await tx.fetch(_KNOW, budget_id)


async def probe(tx: Transaction) -> int:
    """Writes what changes nothing, for a full disk can still be read; gives the database's time."""
    return int((await tx.fetch(_PROBE))[0][0])


async def _look(tx: Transaction, budget_id: str) -> Standing | None:
    """The budget in its open period that contains the database's present; None if there is none."""
    rows = await tx.fetch(_STANDING, budget_id)
    if not rows or rows[0][1] is None:
        return None
    frozen_at_us, start_us, end_us, committed_nanos = rows[0]
    return Standing(Period(start_us, end_us), committed_nanos, frozen_at_us)


async def _at(tx: Transaction, budget_id: str, at_us: int) -> Period | None:
    rows = await tx.fetch(_AT, at_us, budget_id)
    return Period(*rows[0]) if rows else None


async def _next_period(tx: Transaction, budget_id: str, zone: ZoneInfo, now_us: int) -> Period:
    before_us, after_us = (await tx.fetch(_NEIGHBOURS, now_us, budget_id))[0]
    return period_between(before_us, after_us, zone, now_us)

"""What operators change in a budget: adjustments and freezes. Each leaves its notice in the same transaction."""

from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson

from service.books import ledger
from service.books.entries import Work
from service.books.errors import AdjustmentBelowZero, RequestIdReused
from service.books.ledger import Standing
from service.books.period import Period
from service.books.records import Record
from service.storage.database import Transaction

_KNOWN = "SELECT budget_id, amount_nanos, period_start_us FROM budget_adjust WHERE adjust_id = $1"
_ADJUST = """
INSERT INTO budget_adjust (adjust_id, budget_id, period_start_us, amount_nanos, at_us, principal, note)
VALUES ($1, $2, $3, $4, clock_us(), $5, $6)
ON CONFLICT (adjust_id) DO NOTHING
RETURNING adjust_id"""
_LOCK = """
UPDATE budget_period SET committed_nanos = committed_nanos WHERE budget_id = $1 AND period_start_us = $2
RETURNING committed_nanos"""
_MOVE = """
UPDATE budget_period SET committed_nanos = committed_nanos + $1 WHERE budget_id = $2 AND period_start_us = $3"""
_ROW = "SELECT period_end_us, committed_nanos FROM budget_period WHERE budget_id = $1 AND period_start_us = $2"
_FREEZE = """
UPDATE budget SET frozen_at_us = CASE WHEN $1 = 1 THEN clock_us() ELSE 0 END
WHERE budget_id = $2 AND (frozen_at_us > 0) <> ($1 = 1)
RETURNING frozen_at_us"""
# Of yesterday as well: a clock that is set back may come back to it.
_FREEZE_PERIOD = """
UPDATE budget_period SET frozen = $1 WHERE budget_id = $2 AND period_end_us > clock_us() - 86400000000"""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who asks for a change, and why."""

    principal: str
    note: str


class Held(NamedTuple):
    """A budget as it stands, with what of it is only held."""

    standing: Standing
    held_nanos: int


def adjustment(
    budget_id: str, zone: ZoneInfo, amount_nanos: int, request_id: str, by: Operator, day: Period | None = None
) -> Work:
    """Charges a budget (*amount_nanos* above 0) or gives back to it (below 0); gives `Held`.

    Args:
        budget_id: Whose budget.
        zone: Where its days begin.
        amount_nanos: How much.
        request_id: Makes it happen once, however often it is asked for.
        by: Who, and why.
        day: Another day than today, as the calendar has it; it must not be one to come. The period that has its middle
            pays.

    Raises (through the entry's `done`):
        AdjustmentBelowZero: More would be given back than was spent and held.
        RequestIdReused: The request id stands for another adjustment.
    """

    async def act(tx: Transaction) -> tuple[Held, Record | None]:
        known = await tx.fetch(_KNOWN, request_id)
        if not known:
            period = await _period(tx, budget_id, zone, day)
            row = (request_id, budget_id, period.start_us, amount_nanos, by.principal, by.note)
            if await tx.fetch(_ADJUST, *row):
                await _move(tx, budget_id, period, amount_nanos)
                held = await _held(tx, budget_id, zone, period.start_us)
                body = {"event": "adjusted", "adjust_id": request_id, "amount_nanos": amount_nanos,
                        "period_start_us": period.start_us, "principal": by.principal, "note": by.note}  # fmt: skip
                return held, Record("notice", "", budget_id, orjson.dumps(body))
            known = await tx.fetch(_KNOWN, request_id)  # another replica was asked as well, and was faster
        budget, nanos, start_us = known[0]
        if (budget, nanos) != (budget_id, amount_nanos):
            raise RequestIdReused(request_id)
        held = await _held(tx, budget_id, zone, start_us)
        if day is not None and _middle_us(day) not in held.standing.period:
            raise RequestIdReused(request_id)
        return held, None

    return Work(budget_id, act)


def freeze(budget_id: str, zone: ZoneInfo, by: Operator, *, frozen: bool) -> Work:
    """Stops a team's spending, or lets it go on, from the next hold after the commit; gives `Held`."""

    async def act(tx: Transaction) -> tuple[Held, Record | None]:
        # Batches lock a period before the budget; and what opens between the two statements is frozen by the third.
        await tx.fetch(_FREEZE_PERIOD, int(frozen), budget_id)
        await ledger.know(tx, budget_id)
        changed = await tx.fetch(_FREEZE, int(frozen), budget_id)
        await tx.fetch(_FREEZE_PERIOD, int(frozen), budget_id)
        now = await ledger.standing(tx, budget_id, zone)
        held = Held(now, await ledger.held(tx, budget_id, now.period.start_us))
        if not changed:
            return held, None
        event = "frozen" if frozen else "unfrozen"
        body = {"event": event, "principal": by.principal, "note": by.note}
        return held, Record("notice", "", budget_id, orjson.dumps(body))

    return Work(budget_id, act)


async def _move(tx: Transaction, budget_id: str, period: Period, amount_nanos: int) -> None:
    rows = await tx.fetch(_LOCK, budget_id, period.start_us)
    committed_nanos = rows[0][0] if rows else 0
    # Asked once the row is locked. What attempts under way hold they give back themselves.
    held_nanos = await ledger.held(tx, budget_id, period.start_us)
    if amount_nanos < 0 and committed_nanos - held_nanos + amount_nanos < 0:
        raise AdjustmentBelowZero(budget_id, amount_nanos, committed_nanos - held_nanos, held_nanos)
    await tx.fetch(_MOVE, amount_nanos, budget_id, period.start_us)


async def _period(tx: Transaction, budget_id: str, zone: ZoneInfo, day: Period | None) -> Period:
    """The row to change: that of *day* if it is over by the database's clock, else the day in force."""
    past = None if day is None else await ledger.ended(tx, budget_id, zone, _middle_us(day))
    return past or (await ledger.in_force(tx, budget_id, zone)).period


def _middle_us(day: Period) -> int:
    return (day.start_us + day.end_us) // 2


async def _held(tx: Transaction, budget_id: str, zone: ZoneInfo, period_start_us: int) -> Held:
    now = await ledger.standing(tx, budget_id, zone)
    if now.period.start_us == period_start_us:
        return Held(now, await ledger.held(tx, budget_id, period_start_us))
    end_us, committed_nanos = (await tx.fetch(_ROW, budget_id, period_start_us))[0]
    shown = Standing(Period(period_start_us, end_us), committed_nanos, now.frozen_at_us)
    return Held(shown, await ledger.held(tx, budget_id, period_start_us))

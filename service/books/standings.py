"""Budgets as they stand, of many teams in one look: what `ledger.standing` and `ledger.held` tell of one."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from service.books.ledger import Standing, clock, period_between
from service.books.operations import Held
from service.books.period import Period
from service.storage.database import Row, Transaction

# Of each budget its last period begun, the holds of the attempts under way in it, and where the next one begins.
_STANDINGS = """
SELECT b.budget_id, b.frozen_at_us, p.period_start_us, p.period_end_us, p.committed_nanos,
  (SELECT CAST(COALESCE(SUM(h.hold_nanos), 0) AS BIGINT) FROM call_hold AS h
   WHERE h.budget_id = b.budget_id AND h.period_start_us = p.period_start_us AND h.state = 'open'),
  (SELECT MIN(n.period_start_us) FROM budget_period AS n WHERE n.budget_id = b.budget_id AND n.period_start_us > $1)
FROM budget AS b
LEFT JOIN budget_period AS p ON p.budget_id = b.budget_id AND p.period_start_us = (
  SELECT MAX(l.period_start_us) FROM budget_period AS l WHERE l.budget_id = b.budget_id AND l.period_start_us <= $1)
WHERE $2 = 0 OR b.budget_id = $3"""
_UNKNOWN = (0, None, None, None, 0, None)


async def standings(tx: Transaction, zones: Mapping[str, ZoneInfo]) -> dict[str, Held]:
    """The budgets named by *zones*, each in the period of the database's present, begun or not.

    Args:
        tx: Where from; only read.
        zones: Where the days of each budget begin.
    """
    now_us = await clock(tx)
    only = next(iter(zones)) if len(zones) == 1 else None
    rows = await tx.fetch(_STANDINGS, now_us, int(only is not None), only or "")
    known = {row[0]: row[1:] for row in rows}
    return {budget_id: _held(known.get(budget_id, _UNKNOWN), zone, now_us) for budget_id, zone in zones.items()}


def _held(row: Row, zone: ZoneInfo, now_us: int) -> Held:
    frozen_at_us, start_us, end_us, committed_nanos, held_nanos, after_us = row
    if end_us is not None and now_us < end_us:
        return Held(Standing(Period(start_us, end_us), committed_nanos, frozen_at_us), held_nanos)
    return Held(Standing(period_between(end_us, after_us, zone, now_us), 0, frozen_at_us), 0)

"""Finds attempts that nobody will end: their process died. No money moves; they are shown as unresolved."""

import orjson

from service.books.entries import Work
from service.books.records import Record
from service.storage.database import Transaction

ATTEMPTS_MAX = 200
"""Of one notice, and of one transaction."""

_TEAMS = """
SELECT DISTINCT budget_id FROM call_hold WHERE state = 'open' AND at_us <= clock_us() - $1 ORDER BY budget_id"""
_OVERDUE = """
SELECT call_id, attempt FROM call_hold WHERE budget_id = $1 AND state = 'open' AND at_us <= clock_us() - $2
ORDER BY at_us, call_id, attempt LIMIT $3"""
_FORFEIT = """
UPDATE call_hold SET state = 'forfeited' WHERE call_id = $1 AND attempt = $2 AND state = 'open'
RETURNING call_id, attempt, hold_nanos, period_start_us"""


def forfeit(team: str, open_longer_than_us: int) -> Work:
    """Marks a team's attempts that are open longer than any call lasts; gives how many, at most `ATTEMPTS_MAX`.

    An attempt that ends after all still settles, and gives back what it did not cost.
    """

    async def act(tx: Transaction) -> tuple[int, Record | None]:
        overdue = await tx.fetch(_OVERDUE, team, open_longer_than_us, ATTEMPTS_MAX)
        forfeited = await tx.fetch_each(_FORFEIT, sorted(overdue))
        if not forfeited:
            return 0, None
        attempts = [
            {"call_id": call_id, "attempt": attempt, "hold_nanos": hold_nanos, "period_start_us": period_start_us}
            for call_id, attempt, hold_nanos, period_start_us in forfeited
        ]
        body = {"event": "holds_forfeited", "attempts": attempts}
        return len(forfeited), Record("notice", "", team, orjson.dumps(body))

    return Work(team, act)


async def overdue_teams(tx: Transaction, open_longer_than_us: int) -> list[str]:
    """The teams that have such attempts."""
    return [team for (team,) in await tx.fetch(_TEAMS, open_longer_than_us)]

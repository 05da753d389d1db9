"""The paces' rows in the database: a stretch of a limit's time is taken by one conditional upsert."""

from typing import TypeVar

from clients.pacing.errors import PaceLost
from clients.pacing.row import SLOWED_ONCE_IN_US, Asked, Taken, permille_at, slower
from service.storage.database import Database, Transaction, Work
from service.storage.errors import LockTimeout, StorageError

T = TypeVar("T")

FAR_US = 600_000_000
"""Nobody takes turns this far ahead: a row that says so is of before the database's clock was set back."""
UNUSED_US = 7 * 86_400_000_000
TRIES_MAX = 3

# `excluded.next_us - $2` is the present, read once.
_TAKE = """
INSERT INTO pace (scope, next_us) VALUES ($1, clock_us() + $2)
ON CONFLICT (scope) DO UPDATE SET
  start_us = CASE
    WHEN pace.next_us <= excluded.next_us - $2 - $3 THEN excluded.next_us - $2 - $3
    ELSE pace.next_us END,
  next_us = CASE
    WHEN pace.next_us <= excluded.next_us - $2 - $3 THEN excluded.next_us
    WHEN pace.next_us >= excluded.next_us - $2 THEN pace.next_us + $4
    WHEN pace.next_us + $5 <= excluded.next_us - $2 + $6 THEN pace.next_us + $5
    ELSE excluded.next_us - $2 + $6 END
WHERE pace.next_us <= excluded.next_us - $2 + $7
RETURNING start_us, next_us, permille, slowed_at_us, clock_us()"""
_LOOK = "SELECT next_us, permille, slowed_at_us, clock_us() FROM pace WHERE scope = $1"
_SET_RIGHT = "UPDATE pace SET next_us = clock_us() WHERE scope = $1 AND next_us > clock_us() + $2"
_SEE_TO_IT = """
INSERT INTO pace (scope, next_us) VALUES ($1, clock_us())
ON CONFLICT (scope) DO UPDATE SET start_us = pace.start_us
RETURNING next_us, permille, slowed_at_us, clock_us()"""
_SLOW = "UPDATE pace SET next_us = $1, permille = $2, slowed_at_us = $3 WHERE scope = $4"
_FORGET = "DELETE FROM pace WHERE next_us < clock_us() - $1"


class Paces:
    """The rows, as the pacer asks for them.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, scope: str, asked: Asked) -> Taken:
        """See `PaceRow.take`."""
        wanted_us, ahead_us, back_us, patience_us = asked
        fresh_us = min(wanted_us - back_us, ahead_us)
        """Where the stretch of an idle limit ends, after the present."""

        async def act(tx: Transaction) -> Taken:
            values = (fresh_us, back_us, min(wanted_us, ahead_us), wanted_us, ahead_us, patience_us)
            rows = await tx.fetch(_TAKE, scope, *values)
            if rows:
                start_us, *rest = rows[0]
                return Taken(start_us or rest[0] - fresh_us - back_us, *rest)
            await tx.fetch(_SET_RIGHT, scope, FAR_US)
            rows = await tx.fetch(_LOOK, scope)
            return Taken(None, *rows[0])

        return await self._insist(act)

    async def slow(self, scope: str, rest_us: int) -> Taken:
        """See `PaceRow.slow`."""

        async def act(tx: Transaction) -> Taken:
            ((next_us, permille, slowed_at_us, now_us),) = await tx.fetch(_SEE_TO_IT, scope)
            if now_us - slowed_at_us >= SLOWED_ONCE_IN_US:
                permille, slowed_at_us = slower(permille_at(permille, slowed_at_us, now_us)), now_us
            next_us = max(next_us, now_us + rest_us) if rest_us else next_us
            await tx.fetch(_SLOW, next_us, permille, slowed_at_us, scope)
            return Taken(None, next_us, permille, slowed_at_us, now_us)

        return await self._insist(act)

    async def forget(self) -> None:
        """Deletes what was not used for long: those of keys that were rotated.

        Raises:
            PaceLost: The database does not answer.
        """

        async def act(tx: Transaction) -> None:
            await tx.fetch(_FORGET, UNUSED_US)

        await self._insist(act)

    async def _insist(self, work: Work[T]) -> T:
        locked = ""
        for _ in range(TRIES_MAX):
            try:
                return await self._database.transact(work)
            except LockTimeout as error:  # by a replica that stands still: its transaction is ended soon
                locked = str(error)
            except StorageError as error:
                raise PaceLost(str(error)) from None
        raise PaceLost(locked)

"""Access keys as they are listed: what is kept of each, and how it stands.

What is said of a key's state is by the database's clock, as of the same statement.
"""

from typing import Any, NamedTuple

import orjson

from service.books.errors import CredentialUnknown
from service.identity.place import FIRST, CredentialPlace
from service.storage.database import Transaction

_ONE = """
SELECT id, team, name, scopes, models, max_tokens_per_call, requests_per_minute, requests_per_day, line, created_at_us,
  created_by, expires_at_us, grant_expires_at_us, revoked_at_us, replaced_by, last_used_day,
  CASE WHEN revoked_at_us > 0 THEN 'REVOKED' WHEN expires_at_us <= clock_us() THEN 'EXPIRED'
    WHEN replaced_by <> '' THEN 'REPLACED' ELSE 'ACTIVE' END
FROM access_key WHERE id = $1"""
_PAGE = """
SELECT id, team, name, scopes, models, max_tokens_per_call, requests_per_minute, requests_per_day, line, created_at_us,
  created_by, expires_at_us, grant_expires_at_us, revoked_at_us, replaced_by, last_used_day, state
FROM (
  SELECT id, team, name, scopes, models, max_tokens_per_call, requests_per_minute, requests_per_day, line,
    created_at_us, created_by, expires_at_us, grant_expires_at_us, revoked_at_us, replaced_by, last_used_day,
    CASE WHEN revoked_at_us > 0 THEN 'REVOKED' WHEN expires_at_us <= clock_us() THEN 'EXPIRED'
      WHEN replaced_by <> '' THEN 'REPLACED' ELSE 'ACTIVE' END AS state
  FROM access_key
  WHERE (team, name, created_at_us, id) > ($1, $2, $3, $4) AND ($5 = '' OR team = $5)
) AS known
WHERE $6 = '' OR state = $6
ORDER BY team, name, created_at_us, id LIMIT $7"""


class StoredAccessKey(NamedTuple):
    """A row, in the order of its columns, and how it stands."""

    id: str
    team: str
    name: str
    scopes: list[str]
    models: list[str]
    max_tokens_per_call: int | None
    requests_per_minute: int | None
    requests_per_day: int | None
    line: str
    """The id of the key that its rotations began with, which may be its own."""
    created_at_us: int
    created_by: str
    expires_at_us: int
    grant_expires_at_us: int
    """Until when an operator let it, and what takes its place without one, live."""
    revoked_at_us: int
    """0 if it was not revoked."""
    replaced_by: str
    """The id of the key that took its place; "" if there is none."""
    last_used_day: int
    """Days since 1970; 0 if it was never used."""
    state: str
    """ACTIVE, REPLACED, EXPIRED or REVOKED: of those that hold, the last."""

    @property
    def place(self) -> CredentialPlace:
        """Where it stands among all."""
        return CredentialPlace(self.team, self.name, self.created_at_us, self.id)


class Page(NamedTuple):
    """Some keys by team, name and time of their making, and where the next page begins; None if there is none."""

    keys: list[StoredAccessKey]
    end: CredentialPlace | None


async def list_access_keys(
    tx: Transaction, team: str, state: str, keys_max: int, after: CredentialPlace = FIRST
) -> Page:
    """Reads the next page.

    Args:
        tx: Where from; only read.
        team: Whose; "" for all.
        state: In which state; "" for any.
        keys_max: How many at most.
        after: Where the page before ended.
    """
    rows = await tx.fetch(_PAGE, *after, team, state, keys_max + 1)
    keys = [_stored(row) for row in rows[:keys_max]]
    return Page(keys, keys[-1].place if len(rows) > keys_max else None)


async def one(tx: Transaction, key_id: str) -> StoredAccessKey:
    """Reads one key.

    Raises:
        CredentialUnknown: There is none of this id.
    """
    found = await find(tx, key_id)
    if found is None:
        raise CredentialUnknown(key_id)
    return found


async def find(tx: Transaction, key_id: str) -> StoredAccessKey | None:
    """Reads one key, if there is one of this id."""
    rows = await tx.fetch(_ONE, key_id)
    return _stored(rows[0]) if rows else None


def _stored(row: Any) -> StoredAccessKey:
    key_id, team, name, scopes, models, *rest = row
    return StoredAccessKey(key_id, team, name, orjson.loads(scopes), orjson.loads(models), *rest)

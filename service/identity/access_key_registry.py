"""Access keys made, listed, rotated and revoked; each change with its notice, and told to every replica.

What is said of a key's state is by the database's clock, as of the same statement.
"""

from typing import Any, NamedTuple

import orjson

from service.books.entries import Work
from service.books.errors import BooksUnavailable, CredentialNotActive, CredentialUnknown
from service.books.operations import Operator
from service.books.records import Record
from service.identity.access_key_rows import LIFETIME_MAX_US, NewAccessKey, count_up, insert
from service.identity.place import FIRST, CredentialPlace
from service.storage.database import Transaction

_ONE = """
SELECT id, team, name, scopes, models, max_tokens_per_call, created_at_us, created_by, expires_at_us, revoked_at_us,
  replaced_by, last_used_day,
  CASE WHEN revoked_at_us > 0 THEN 'REVOKED' WHEN expires_at_us <= clock_us() THEN 'EXPIRED'
    WHEN replaced_by <> '' THEN 'REPLACED' ELSE 'ACTIVE' END
FROM access_key WHERE id = $1"""
_PAGE = """
SELECT id, team, name, scopes, models, max_tokens_per_call, created_at_us, created_by, expires_at_us, revoked_at_us,
  replaced_by, last_used_day, state
FROM (
  SELECT id, team, name, scopes, models, max_tokens_per_call, created_at_us, created_by, expires_at_us, revoked_at_us,
    replaced_by, last_used_day,
    CASE WHEN revoked_at_us > 0 THEN 'REVOKED' WHEN expires_at_us <= clock_us() THEN 'EXPIRED'
      WHEN replaced_by <> '' THEN 'REPLACED' ELSE 'ACTIVE' END AS state
  FROM access_key
  WHERE (team, name, created_at_us, id) > ($1, $2, $3, $4) AND ($5 = '' OR team = $5)
) AS known
WHERE $6 = '' OR state = $6
ORDER BY team, name, created_at_us, id LIMIT $7"""
_REPLACE = """
UPDATE access_key SET replaced_by = $1,
  expires_at_us = CASE WHEN expires_at_us < clock_us() + $2 THEN expires_at_us ELSE clock_us() + $2 END
WHERE id = $3 AND revoked_at_us = 0 AND replaced_by = '' AND expires_at_us > clock_us()
RETURNING clock_us()"""
_REVOKE = """
UPDATE access_key SET revoked_at_us = clock_us() WHERE id = $1 AND revoked_at_us = 0 RETURNING revoked_at_us"""
_EVER = """SELECT COUNT(*) FROM access_key WHERE replace(scopes, '"admin"', '') <> scopes"""


class StoredAccessKey(NamedTuple):
    """A row, in the order of its columns, and how it stands."""

    id: str
    team: str
    name: str
    scopes: list[str]
    models: list[str]
    max_tokens_per_call: int | None
    created_at_us: int
    created_by: str
    expires_at_us: int
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


class Successor(NamedTuple):
    """What is known of the key that takes another one's place, beside what it takes from that one."""

    id: str
    digest: bytes
    pepper_version: str
    expires_at_us: int | None
    """None: it lives as long as the other one was made for."""


class Rotated(NamedTuple):
    """Both keys, after a rotation."""

    new: StoredAccessKey
    old: StoredAccessKey


def create(new: NewAccessKey, by: str, *, first_admin: bool = False) -> Work:
    """Makes a key; gives it as `StoredAccessKey`.

    Args:
        new: What is kept of it.
        by: Who makes it: an operator's team and name.
        first_admin: Only if there never was a key with the scope `admin`; else gives None.
    """

    async def act(tx: Transaction) -> tuple[StoredAccessKey | None, Record | None]:
        if first_admin:
            # Counted up first: whoever else does the same waits here, and then sees this key.
            await count_up(tx)
            ((ever,),) = await tx.fetch(_EVER)
            if ever:
                return None, None
        if await insert(tx, new, by) is None:
            raise BooksUnavailable("an access key has this id; another attempt makes another id")
        await count_up(tx)
        stored = await one(tx, new.id)
        return stored, _notice("access_key_created", stored, Operator(by, ""))

    # Of no team: what keeps a team's budget locked does not keep operators from saying who may call.
    return Work("", act)


def rotate(key_id: str, successor: Successor, overlap_us: int, by: str) -> Work:
    """Makes a key that may do what another one may, and lets that one go on for a while; gives `Rotated`.

    Of several rotations of one key the first one is made.

    Raises (through the entry's `done`):
        CredentialUnknown: There is none of this id.
        CredentialNotActive: It is revoked, expired or replaced.
    """

    async def act(tx: Transaction) -> tuple[Rotated, Record]:
        before = await one(tx, key_id)
        replaced = await tx.fetch(_REPLACE, successor.id, overlap_us, key_id)
        if not replaced:
            raise CredentialNotActive(key_id, (await one(tx, key_id)).state)
        ((now_us,),) = replaced
        lifetime_us = min(before.expires_at_us - before.created_at_us, LIFETIME_MAX_US)
        new = NewAccessKey(
            id=successor.id,
            digest=successor.digest,
            pepper_version=successor.pepper_version,
            team=before.team,
            name=before.name,
            scopes=frozenset(before.scopes),
            expires_at_us=now_us + lifetime_us if successor.expires_at_us is None else successor.expires_at_us,
            models=frozenset(before.models),
            max_tokens_per_call=before.max_tokens_per_call,
        )
        if await insert(tx, new, by) is None:
            raise BooksUnavailable("an access key has this id; another attempt makes another id")
        await count_up(tx)
        rotated = Rotated(await one(tx, new.id), await one(tx, key_id))
        return rotated, _notice("access_key_rotated", rotated.old, Operator(by, ""), new=rotated.new)

    return Work("", act)


def revoke(key_id: str, by: Operator) -> Work:
    """Ends a key, if nobody has yet; gives it as `StoredAccessKey`.

    Raises (through the entry's `done`):
        CredentialUnknown: There is none of this id.
    """

    async def act(tx: Transaction) -> tuple[StoredAccessKey, Record | None]:
        changed = await tx.fetch(_REVOKE, key_id)
        stored = await one(tx, key_id)
        if not changed:
            return stored, None
        await count_up(tx)
        return stored, _notice("access_key_revoked", stored, by)

    return Work("", act)


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
    rows = await tx.fetch(_ONE, key_id)
    if not rows:
        raise CredentialUnknown(key_id)
    return _stored(rows[0])


def _stored(row: Any) -> StoredAccessKey:
    key_id, team, name, scopes, models, *rest = row
    return StoredAccessKey(key_id, team, name, orjson.loads(scopes), orjson.loads(models), *rest)


def _notice(event: str, stored: StoredAccessKey, by: Operator, *, new: StoredAccessKey | None = None) -> Record:
    body = {
        "event": event,
        "access_key_id": stored.id,
        "team": stored.team,
        "name": stored.name,
        "scopes": stored.scopes,
        "models": stored.models,
        "max_tokens_per_call": stored.max_tokens_per_call,
        "expires_at_us": stored.expires_at_us,
        "principal": by.principal,
        "note": by.note,
    }
    if new is not None:
        body |= {"replaced_by": new.id, "new_expires_at_us": new.expires_at_us}
    return Record("notice", "", stored.team, orjson.dumps(body))

"""Rows of `access_key`: how a new one is written and sealed, and how every replica is told of a change."""

import datetime
from dataclasses import dataclass, field

import orjson

from service.identity.seals import Sealed, Seals, text_of
from service.storage.database import Transaction

ACCESS_KEY_LIFETIME_MAX = datetime.timedelta(days=365)
LIFETIME_MAX_US = ACCESS_KEY_LIFETIME_MAX // datetime.timedelta(microseconds=1)

_INSERT = """
INSERT INTO access_key (id, digest, pepper_version, team, name, scopes, models, max_tokens_per_call,
  requests_per_minute, requests_per_day, line, created_at_us, created_by, expires_at_us, grant_expires_at_us, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (id) DO NOTHING
RETURNING id"""
_SEALED = """
SELECT id, digest, pepper_version, team, name, scopes, models, max_tokens_per_call, requests_per_minute,
  requests_per_day, line, created_at_us, created_by, expires_at_us, grant_expires_at_us, seal
FROM access_key WHERE id = $1"""
_CUT = "UPDATE access_key SET expires_at_us = $1, seal = $2 WHERE id = $3"
_SHOWN_AGAIN = """
SELECT id FROM access_key
WHERE id = $1 AND digest = $2 AND pepper_version = $3 AND created_at_us > clock_us() - 86400000000"""
_COUNT_UP = "UPDATE identity_version SET version = version + 1 WHERE one = 1"

_EXPIRES_AT_US = 13


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    """An access key that is to be kept; nothing in it gives access."""

    id: str
    digest: bytes = field(repr=False)
    """HMAC-SHA256 of the whole key under the pepper of *pepper_version*."""
    pepper_version: str
    team: str
    name: str
    scopes: frozenset[str]
    expires_at_us: int
    models: frozenset[str] = frozenset()
    """The only models it may use, of its team's; empty: all of them."""
    max_tokens_per_call: int | None = None
    """Its own cap of output tokens; None: its team's."""
    requests_per_minute: int | None = None
    """Its own limit, beside its team's; None: its team's alone."""
    requests_per_day: int | None = None
    line: str | None = None
    """The id of the key that its rotations began with; None: its own."""
    grant_expires_at_us: int | None = None
    """Until when an operator lets it, and what takes its place without one, live; None: until its own end."""


async def insert(tx: Transaction, key: NewAccessKey, created_by: str, now_us: int, seals: Seals) -> bool:
    """Writes a row; False if there is a key of this id, which is left as it is."""
    scopes, models = (orjson.dumps(sorted(names)).decode() for names in (key.scopes, key.models))
    granted_us = key.expires_at_us if key.grant_expires_at_us is None else key.grant_expires_at_us
    row = (
        key.id, key.digest, key.pepper_version, key.team, key.name, scopes, models, key.max_tokens_per_call,
        key.requests_per_minute, key.requests_per_day, key.line or key.id, now_us, created_by, key.expires_at_us,
        granted_us,
    )  # fmt: skip
    return bool(await tx.fetch(_INSERT, *row, seals.of(text_of("access_key", *row), key.pepper_version)))


async def cut(tx: Transaction, key_id: str, ends_at_us: int, seals: Seals) -> bool:
    """Lets a key end at *ends_at_us*, if that is before its end; False if its row is not as it was sealed."""
    ((*row, seal),) = await tx.fetch(_SEALED, key_id)
    version = row[2]
    if not seals.fit(Sealed(text_of("access_key", *row), version, seal)):
        return False
    row[_EXPIRES_AT_US] = min(row[_EXPIRES_AT_US], ends_at_us)
    await tx.fetch(_CUT, row[_EXPIRES_AT_US], seals.of(text_of("access_key", *row), version), key_id)
    return True


async def may_be_shown_again(tx: Transaction, key_id: str, digest: bytes, pepper_version: str) -> bool:
    """Whether the key of an id is this very one, and was made within a day: its maker may have missed the answer."""
    return bool(await tx.fetch(_SHOWN_AGAIN, key_id, digest, pepper_version))


async def count_up(tx: Transaction) -> None:
    """Lets every replica know that somebody may call now who could not, or the other way round."""
    await tx.fetch(_COUNT_UP)

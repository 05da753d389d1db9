"""Rows of `access_key`: how a new one is written, and how every replica is told of a change."""

import datetime
from dataclasses import dataclass, field

import orjson

from service.storage.database import Transaction

ACCESS_KEY_LIFETIME_MAX = datetime.timedelta(days=365)
LIFETIME_MAX_US = ACCESS_KEY_LIFETIME_MAX // datetime.timedelta(microseconds=1)

_INSERT = """
INSERT INTO access_key (id, digest, pepper_version, team, name, scopes, models, max_tokens_per_call, created_at_us,
  created_by, expires_at_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_us(), $9, $10)
ON CONFLICT (id) DO NOTHING
RETURNING created_at_us"""
_COUNT_UP = "UPDATE identity_version SET version = version + 1 WHERE one = 1"


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


async def insert(tx: Transaction, key: NewAccessKey, created_by: str) -> int | None:
    """Writes a row; when it was made, in µs since 1970, or None if there is a key of this id."""
    scopes, models = (orjson.dumps(sorted(names)).decode() for names in (key.scopes, key.models))
    rows = await tx.fetch(
        _INSERT, key.id, key.digest, key.pepper_version, key.team, key.name, scopes, models,
        key.max_tokens_per_call, created_by, key.expires_at_us,
    )  # fmt: skip
    return rows[0][0] if rows else None


async def count_up(tx: Transaction) -> None:
    """Lets every replica know that somebody may call now who could not, or the other way round."""
    await tx.fetch(_COUNT_UP)

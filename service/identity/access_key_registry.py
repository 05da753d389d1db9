"""Access keys made, rotated and revoked; each change with its notice, and told to every replica."""

from typing import NamedTuple

import orjson

from service.books import ledger
from service.books.entries import Work
from service.books.errors import BooksUnavailable, CredentialNotActive, CredentialUnknown, RequestIdReused
from service.books.operations import Operator
from service.books.records import Record
from service.identity.access_key_rows import (
    LIFETIME_MAX_US,
    NewAccessKey,
    count_up,
    cut,
    insert,
    may_be_shown_again,
)
from service.identity.access_keys import MintedAccessKey
from service.identity.seals import UNSEALED, Seals
from service.identity.stored_access_keys import StoredAccessKey, find, one
from service.storage.database import Transaction

_REPLACE = """
UPDATE access_key SET replaced_by = $1
WHERE id = $2 AND revoked_at_us = 0 AND replaced_by = '' AND expires_at_us > clock_us()
RETURNING clock_us()"""
# Of what follows a key nothing is known before its row is locked: a rotation under way may add to it.
_REVOKE = """
UPDATE access_key SET revoked_at_us = clock_us(), seal = $1 WHERE id = $2 AND revoked_at_us = 0 RETURNING id"""
_EVER = """SELECT COUNT(*) FROM access_key WHERE replace(scopes, '"admin"', '') <> scopes"""


class Successor(NamedTuple):
    """What is known of the key that takes another one's place, beside what it takes from that one."""

    minted: MintedAccessKey
    expires_at_us: int | None
    """None: it lives as long as the other one was made for."""
    is_granted: bool
    """An operator asks for it: it may live longer than the other one was to."""


class Rotated(NamedTuple):
    """Both keys, after a rotation."""

    new: StoredAccessKey
    old: StoredAccessKey


class Revoked(NamedTuple):
    """A key after its end, and what took its place, each the place of the one before."""

    key: StoredAccessKey
    successors: list[StoredAccessKey]


class Change(NamedTuple):
    """Who asks for a change, how the request is named, and what rows are sealed with."""

    by: str
    """An operator's team and name."""
    seals: Seals
    request_id: str = ""
    """"" if the request has no name."""


def create(new: NewAccessKey, change: Change, *, first_admin: bool = False) -> Work:
    """Makes a key; gives it as `StoredAccessKey`.

    Args:
        new: What is kept of it.
        change: Who makes it.
        first_admin: Only if there never was a key with the scope `admin`; else gives None.

    Raises (through the entry's `done`):
        RequestIdReused: The request's name stands for another one, or for one of more than a day ago.
    """

    async def act(tx: Transaction) -> tuple[StoredAccessKey | None, Record | None]:
        if first_admin:
            # Counted up first: whoever else does the same waits here, and then sees this key.
            await count_up(tx)
            ((ever,),) = await tx.fetch(_EVER)
            if ever:
                return None, None
        if not await insert(tx, new, change.by, await ledger.clock(tx), change.seals):
            await _require_same(tx, new, change.request_id)
            return await one(tx, new.id), None
        await count_up(tx)
        stored = await one(tx, new.id)
        return stored, _notice("access_key_created", stored, Operator(change.by, ""))

    # Of no team: what keeps a team's budget locked does not keep operators from saying who may call.
    return Work("", act)


def rotate(key_id: str, successor: Successor, overlap_us: int, change: Change) -> Work:
    """Makes a key that may do what another one may, and lets that one go on for a while; gives `Rotated`.

    Of several rotations of one key the first one is made.

    Raises (through the entry's `done`):
        CredentialUnknown: There is none of this id.
        CredentialNotActive: It is revoked, expired or replaced; or its row is not as it was sealed.
        RequestIdReused: The request's name stands for another one, or for one of more than a day ago.
    """
    minted = successor.minted

    async def act(tx: Transaction) -> tuple[Rotated, Record | None]:
        replaced = await tx.fetch(_REPLACE, minted.id, key_id)
        before = await one(tx, key_id)
        if not replaced:
            if before.replaced_by != minted.id:
                raise CredentialNotActive(key_id, before.state)
            await _require_same(tx, minted, change.request_id)
            return Rotated(await one(tx, minted.id), before), None
        ((now_us,),) = replaced
        if not await cut(tx, key_id, now_us + overlap_us, change.seals):
            raise CredentialNotActive(key_id, "FORGED")  # a new key would make what was written there true
        new = _successor_of(before, successor, now_us)
        if not await insert(tx, new, change.by, now_us, change.seals):
            raise _taken(change.request_id)
        await count_up(tx)
        rotated = Rotated(await one(tx, new.id), await one(tx, key_id))
        return rotated, _notice("access_key_rotated", rotated.old, Operator(change.by, ""), new=rotated.new)

    return Work("", act)


def revoke(key_id: str, by: Operator, *, with_successors: bool = False) -> Work:
    """Ends a key, if nobody has yet, and, *with_successors*, all that took its place; gives `Revoked`.

    Raises (through the entry's `done`):
        CredentialUnknown: There is none of this id.
    """

    async def act(tx: Transaction) -> tuple[Revoked, list[Record]]:
        chain: dict[str, StoredAccessKey] = {}
        notices: list[Record] = []
        next_id = key_id
        while next_id and next_id not in chain:
            ends = with_successors or not chain
            changed = await tx.fetch(_REVOKE, UNSEALED, next_id) if ends else []
            stored = await find(tx, next_id)
            if stored is None:
                break
            chain[next_id] = stored
            if changed:
                notices.append(_notice("access_key_revoked", stored, by))
            next_id = stored.replaced_by
        if not chain:
            raise CredentialUnknown(key_id)
        if notices:
            await count_up(tx)
        key, *successors = chain.values()
        return Revoked(key, successors), notices

    return Work("", act)


async def _require_same(tx: Transaction, made: NewAccessKey | MintedAccessKey, request_id: str) -> None:
    if not await may_be_shown_again(tx, made.id, made.digest, made.pepper_version):
        raise _taken(request_id)


def _taken(request_id: str) -> RequestIdReused | BooksUnavailable:
    if request_id:
        return RequestIdReused(request_id)
    return BooksUnavailable("an access key has this id; another attempt makes another id")


def _successor_of(before: StoredAccessKey, successor: Successor, now_us: int) -> NewAccessKey:
    """What takes a key's place: it may do the same, and without an operator lives no longer than one has let it."""
    expires_at_us = successor.expires_at_us
    if expires_at_us is None:
        expires_at_us = now_us + min(before.expires_at_us - before.created_at_us, LIFETIME_MAX_US)
    if not successor.is_granted:
        expires_at_us = min(expires_at_us, before.grant_expires_at_us)
    return NewAccessKey(
        id=successor.minted.id,
        digest=successor.minted.digest,
        pepper_version=successor.minted.pepper_version,
        team=before.team,
        name=before.name,
        scopes=frozenset(before.scopes),
        expires_at_us=expires_at_us,
        models=frozenset(before.models),
        max_tokens_per_call=before.max_tokens_per_call,
        requests_per_minute=before.requests_per_minute,
        requests_per_day=before.requests_per_day,
        line=before.line,
        grant_expires_at_us=expires_at_us if successor.is_granted else before.grant_expires_at_us,
    )


def _notice(event: str, stored: StoredAccessKey, by: Operator, *, new: StoredAccessKey | None = None) -> Record:
    body = {
        "event": event,
        "access_key_id": stored.id,
        "team": stored.team,
        "name": stored.name,
        "scopes": stored.scopes,
        "models": stored.models,
        "max_tokens_per_call": stored.max_tokens_per_call,
        "requests_per_minute": stored.requests_per_minute,
        "requests_per_day": stored.requests_per_day,
        "expires_at_us": stored.expires_at_us,
        "principal": by.principal,
        "note": by.note,
    }
    if new is not None:
        body |= {"replaced_by": new.id, "new_expires_at_us": new.expires_at_us}
    return Record("notice", "", stored.team, orjson.dumps(body))

"""Rows of `service_account`: made, listed and revoked; each change with its notice, and told to every replica."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from service.books import ledger
from service.books.entries import Work
from service.books.errors import BooksUnavailable, CredentialUnknown, RequestIdReused
from service.books.operations import Operator
from service.books.records import Record
from service.identity.access_key_rows import count_up
from service.identity.base62 import random_base62
from service.identity.place import FIRST, CredentialPlace
from service.identity.request_names import RequestName
from service.identity.seals import UNSEALED, Seals, text_of
from service.identity.service_accounts import ID_PREFIX
from service.storage.database import Transaction

_ID_CHARS = 16

_INSERT = """
INSERT INTO service_account (id, pepper_version, team, name, scopes, models, max_tokens_per_call, public_key, algorithm,
  created_at_us, created_by, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (id) DO NOTHING
RETURNING id"""
_REVOKE = """
UPDATE service_account SET revoked_at_us = clock_us(), seal = $1 WHERE id = $2 AND revoked_at_us = 0
RETURNING revoked_at_us"""
_ONE = """
SELECT id, team, name, scopes, models, max_tokens_per_call, public_key, algorithm, created_at_us, created_by,
  revoked_at_us, last_used_day
FROM service_account WHERE id = $1"""
_PAGE = """
SELECT id, team, name, scopes, models, max_tokens_per_call, public_key, algorithm, created_at_us, created_by,
  revoked_at_us, last_used_day
FROM service_account
WHERE (team, name, created_at_us, id) > ($1, $2, $3, $4) AND ($5 = '' OR team = $5)
ORDER BY team, name, created_at_us, id LIMIT $6"""


@dataclass(frozen=True, slots=True)
class NewServiceAccount:
    """A service account that is to be."""

    team: str
    name: str
    scopes: frozenset[str]
    public_key: str
    """PEM, as `public_keys.public_key_of` gives it."""
    algorithm: str
    models: frozenset[str] = frozenset()
    """The only models it may use, of its team's; empty: all of them."""
    max_tokens_per_call: int | None = None
    """Its own cap of output tokens; None: its team's."""


class StoredServiceAccount(NamedTuple):
    """A row, in the order of its columns."""

    id: str
    team: str
    name: str
    scopes: list[str]
    models: list[str]
    max_tokens_per_call: int | None
    public_key: str
    algorithm: str
    created_at_us: int
    created_by: str
    revoked_at_us: int
    """0 if it was not revoked."""
    last_used_day: int
    """Days since 1970; 0 if it was never used."""

    @property
    def place(self) -> CredentialPlace:
        """Where it stands among all."""
        return CredentialPlace(self.team, self.name, self.created_at_us, self.id)


class Page(NamedTuple):
    """Some accounts by team, name and time of their making, and where the next page begins; None if there is none."""

    accounts: list[StoredServiceAccount]
    end: CredentialPlace | None


def create(new: NewServiceAccount, by: str, seals: Seals, named: RequestName | None = None) -> Work:
    """Makes an account; gives it as `StoredServiceAccount`.

    Args:
        new: What it is.
        by: The operator who makes it, by team and name.
        seals: What its row is sealed with; of one pepper at least.
        named: Who asks for it, if they gave the request a name: it makes no second account.

    Raises (through the entry's `done`):
        RequestIdReused: The request's name stands for another account.
    """
    account_id = ID_PREFIX + (named.id(_ID_CHARS) if named else random_base62(_ID_CHARS))

    async def act(tx: Transaction) -> tuple[StoredServiceAccount, Record | None]:
        scopes, models = (orjson.dumps(sorted(names)).decode() for names in (new.scopes, new.models))
        row = (
            account_id, seals.current, new.team, new.name, scopes, models, new.max_tokens_per_call,
            new.public_key, new.algorithm, await ledger.clock(tx), by,
        )  # fmt: skip
        made = await tx.fetch(_INSERT, *row, seals.of(text_of("service_account", *row), seals.current))
        stored = await _one(tx, account_id)
        if not made:
            if named is None:
                raise BooksUnavailable("a service account has this id; another attempt makes another id")
            if not _is(new, stored):
                raise RequestIdReused(named.request_id)
            return stored, None
        await count_up(tx)
        return stored, _notice("service_account_created", stored, Operator(by, ""))

    # Of no team: what keeps a team's budget locked does not keep operators from saying who may call.
    return Work("", act)


def revoke(account_id: str, by: Operator) -> Work:
    """Ends an account, if it has not ended; gives it as `StoredServiceAccount`.

    Raises (through the entry's `done`):
        CredentialUnknown: There is none of this id.
    """

    async def act(tx: Transaction) -> tuple[StoredServiceAccount, Record | None]:
        changed = await tx.fetch(_REVOKE, UNSEALED, account_id)
        stored = await _one(tx, account_id)
        if not changed:
            return stored, None
        await count_up(tx)
        return stored, _notice("service_account_revoked", stored, by)

    return Work("", act)


async def list_service_accounts(tx: Transaction, team: str, accounts_max: int, after: CredentialPlace = FIRST) -> Page:
    """Reads the next page.

    Args:
        tx: Where from; only read.
        team: Whose; "" for all.
        accounts_max: How many at most.
        after: Where the page before ended.
    """
    rows = await tx.fetch(_PAGE, *after, team, accounts_max + 1)
    accounts = [_stored(row) for row in rows[:accounts_max]]
    return Page(accounts, accounts[-1].place if len(rows) > accounts_max else None)


async def _one(tx: Transaction, account_id: str) -> StoredServiceAccount:
    rows = await tx.fetch(_ONE, account_id)
    if not rows:
        raise CredentialUnknown(account_id)
    return _stored(rows[0])


def _stored(row: Any) -> StoredServiceAccount:
    account_id, team, name, scopes, models, *rest = row
    return StoredServiceAccount(account_id, team, name, orjson.loads(scopes), orjson.loads(models), *rest)


def _is(new: NewServiceAccount, stored: StoredServiceAccount) -> bool:
    return (
        (new.team, new.name, new.public_key, new.max_tokens_per_call)
        == (stored.team, stored.name, stored.public_key, stored.max_tokens_per_call)
        and new.scopes == frozenset(stored.scopes)
        and new.models == frozenset(stored.models)
    )  # fmt: skip


def _notice(event: str, stored: StoredServiceAccount, by: Operator) -> Record:
    body = {
        "event": event,
        "service_account_id": stored.id,
        "team": stored.team,
        "name": stored.name,
        "scopes": stored.scopes,
        "models": stored.models,
        "max_tokens_per_call": stored.max_tokens_per_call,
        "algorithm": stored.algorithm,
        "principal": by.principal,
        "note": by.note,
    }
    return Record("notice", "", stored.team, orjson.dumps(body))

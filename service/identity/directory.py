"""What the database says of who may call, read whole: access keys and service accounts as they are checked."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from service.identity.access_keys import AccessKeyRecord
from service.identity.principal import Method, OwnLimits, Principal, holder_of
from service.identity.seals import Sealed, text_of
from service.storage.database import Transaction

_VERSION = "SELECT version FROM identity_version WHERE one = 1"
_ACCESS_KEYS = """
SELECT id, digest, pepper_version, team, name, scopes, models, max_tokens_per_call, requests_per_minute,
  requests_per_day, line, created_at_us, created_by, expires_at_us, grant_expires_at_us, seal, revoked_at_us
FROM access_key WHERE expires_at_us > clock_us() - 2592000000000"""
_ACCOUNTS = """
SELECT id, pepper_version, team, name, scopes, models, max_tokens_per_call, public_key, algorithm, created_at_us,
  created_by, seal, revoked_at_us
FROM service_account"""


@dataclass(frozen=True, slots=True)
class ServiceAccountRecord:
    """What is kept of a service account; nothing in it gives access."""

    id: str
    public_key: str
    """PEM, SubjectPublicKeyInfo."""
    algorithm: str
    """EdDSA or ES256."""
    principal: Principal
    revoked: bool = False
    sealed: Sealed | None = field(default=None, repr=False)
    """The row's seal; None in a record that is of no row."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Everyone whom the database knows, as of one version."""

    version: int = 0
    access_keys: tuple[AccessKeyRecord, ...] = ()
    """Those expired for 30 days are left out: they are unknown then."""
    accounts: dict[str, ServiceAccountRecord] = field(default_factory=dict)

    def without(self, revoked: Collection[str]) -> "Directory":
        """The same, with the access keys and service accounts of these ids revoked, whatever the database said."""
        keys = tuple(replace(key, revoked=True) if key.id in revoked else key for key in self.access_keys)
        accounts = {
            account.id: replace(account, revoked=True) if account.id in revoked else account
            for account in self.accounts.values()
        }
        return Directory(self.version, keys, accounts)


async def read_directory(tx: Transaction, known_version: int) -> Directory | None:
    """Reads the directory; None if it still is the version that is known."""
    ((version,),) = await tx.fetch(_VERSION)
    if version == known_version:
        return None
    keys = [_access_key(*row) for row in await tx.fetch(_ACCESS_KEYS)]
    accounts = [_account(*row) for row in await tx.fetch(_ACCOUNTS)]
    return Directory(version, tuple(keys), {account.id: account for account in accounts})


def _access_key(*row: Any) -> AccessKeyRecord:
    *granted, seal, revoked_at_us = row
    key_id, digest, pepper_version, team, name, scopes, models, max_tokens, minute, day, line, *rest = granted
    _, _, expires_at_us, _ = rest
    limits = None if minute is None and day is None else OwnLimits(holder_of(line), minute, day)
    principal = replace(_principal(key_id, team, name, scopes, models, max_tokens, "access_key"), limits=limits)
    sealed = Sealed(text_of("access_key", *granted), pepper_version, seal)
    return AccessKeyRecord(
        key_id, digest, pepper_version, principal, expires_at_us / 1e6, revoked=revoked_at_us > 0, sealed=sealed
    )


def _account(*row: Any) -> ServiceAccountRecord:
    *granted, seal, revoked_at_us = row
    account_id, pepper_version, team, name, scopes, models, max_tokens, public_key, algorithm, _, _ = granted
    principal = _principal(account_id, team, name, scopes, models, max_tokens, "service_account")
    sealed = Sealed(text_of("service_account", *granted), pepper_version, seal)
    return ServiceAccountRecord(account_id, public_key, algorithm, principal, revoked_at_us > 0, sealed)


def _principal(
    credential_id: str, team: str, name: str, scopes: str, models: str, max_tokens: int | None, method: Method
) -> Principal:
    return Principal(team, name, _names(scopes), method, credential_id, _names(models), max_tokens)


def _names(text: str) -> frozenset[str]:
    try:
        names: list[Any] = orjson.loads(text)
        return frozenset(names)
    except (ValueError, TypeError):  # somebody else's: the row is not as it was sealed, and must not stop the others
        return frozenset()

"""JWTs of service accounts: signed by the caller with a key of its own, of which the directory has the public half."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from service import public_keys
from service.identity.directory import ServiceAccountRecord
from service.identity.jwt_checks import certificate_hash_of, claims_of
from service.identity.refusals import CredentialRefused
from service.identity.scopes import SCOPES
from service.identity.tokens import SKEW_S, Peeked, Verified
from service.public_keys import PublicKey

ID_PREFIX = "sa_"

_TYPES = frozenset({"jwt", ""})


class Expected(NamedTuple):
    """What the JWTs of service accounts have to say."""

    audience: str
    organisation: str | None
    """None: there are no service accounts here."""


class ServiceAccounts:
    """Verifies the JWTs of service accounts; see `TokenVerifier`.

    Args:
        accounts: The accounts in force, by id: another mapping whenever one of them has changed.
    """

    def __init__(self, accounts: Callable[[], Mapping[str, ServiceAccountRecord]]) -> None:
        self._accounts = accounts
        self.expected = Expected("", None)
        self._known: Mapping[str, ServiceAccountRecord] = {}
        self._keys: dict[str, PublicKey] = {}

    async def verify(self, token: str, peeked: Peeked | None, now_s: float) -> Verified:
        """See `TokenVerifier`."""
        audience, organisation = self.expected
        if organisation is None:
            raise CredentialRefused("token of a service account, and no organisation is configured")
        account, key = self._account_of(peeked)
        try:
            claims = claims_of(
                token, key, (account.algorithm,), issuer=account.id, audience=audience, now_s=now_s, types=_TYPES
            )
            _check_account(claims, account, organisation)
            principal = dataclasses.replace(account.principal, scopes=_scopes_of(claims, account))
            return Verified(principal, claims["exp"] + SKEW_S, certificate_hash_of(claims))
        except CredentialRefused as refused:
            raise CredentialRefused(f"{refused.why}, of service account {account.id}") from None

    def _account_of(self, peeked: Peeked | None) -> tuple[ServiceAccountRecord, PublicKey]:
        accounts = self._accounts()
        if accounts is not self._known:
            self._known, self._keys = accounts, {}
        account_id = peeked.claims.get("iss") if peeked is not None else None
        account = accounts.get(account_id) if isinstance(account_id, str) else None
        if account is None:
            # Unnamed: whoever invents ids shall not fill the audit trail with them.
            raise CredentialRefused("token of an unknown service account")
        key = self._keys.get(account.id)
        if key is None:
            try:
                key = self._keys[account.id] = public_keys.public_key_of(account.public_key).key
            except public_keys.PublicKeyRefused as refused:
                raise CredentialRefused(f"the public key of service account {account.id} {refused}") from None
        return account, key


def _check_account(claims: dict[str, Any], account: ServiceAccountRecord, organisation: str) -> None:
    if account.revoked:
        raise CredentialRefused("revoked")
    if claims["sub"] != account.id:
        raise CredentialRefused("token in the name of another")
    if claims.get("org_id") != organisation:
        raise CredentialRefused("token of another organisation")


def _scopes_of(claims: dict[str, Any], account: ServiceAccountRecord) -> frozenset[str]:
    scopes = claims.get("scopes")
    if not isinstance(scopes, list) or not scopes:
        raise CredentialRefused("token without scopes")
    if not all(isinstance(scope, str) and scope in SCOPES for scope in scopes):
        raise CredentialRefused("token with an unknown scope")
    if not account.principal.scopes.issuperset(scopes):
        raise CredentialRefused("token that asks for a scope that the account does not have")
    return frozenset(scopes)

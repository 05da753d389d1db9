"""One credential → one Principal: whoever issued it, and however it is verified.

    x-api-key or bearer ─┬─ cohort_…              access key: looked up in memory
                         ├─ JWT of an account     signed by the caller's own key
                         ├─ JWT of an issuer      signed by one of the issuer's keys
                         └─ anything else         asked for at the issuer of opaque tokens
    no credential        ─── client certificate   its SPIFFE id is on the list

What a credential says of itself only chooses who checks it.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from service.errors import CredentialMissing
from service.identity.access_keys import PREFIX
from service.identity.credential import Credential
from service.identity.identities import Identities
from service.identity.peer import Peer
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.service_accounts import ID_PREFIX, ServiceAccounts
from service.identity.token_cache import TokenCache
from service.identity.tokens import OpaqueVerifier, TokenVerifier, Verified, peek


class Certificates(Protocol):
    """Tells who a verified client certificate belongs to."""

    def principal_of(self, peer: Peer) -> Principal:
        """The principal of a certificate's SPIFFE id.

        Raises:
            CredentialRefused: The id is not on the list, or not one of the authority that signed the certificate.
        """
        ...


class Authenticator:
    """Identifies callers.

    Args:
        identities: Access keys and service accounts.
        accounts: Verifies the JWTs of service accounts.
        certificates: Knows SPIFFE ids.
        cache: Keeps verified tokens; cleared by who changes what they are verified by.
        used: Told which access key or service account has let a caller in.
    """

    def __init__(
        self,
        identities: Identities,
        accounts: ServiceAccounts,
        certificates: Certificates,
        cache: TokenCache,
        used: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._identities = identities
        self._accounts = accounts
        self._certificates = certificates
        self._cache = cache
        self._used = used
        self._issuers: Mapping[str, TokenVerifier] = {}
        self._opaque: OpaqueVerifier | None = None

    def trust(self, issuers: Mapping[str, TokenVerifier], opaque: OpaqueVerifier | None) -> None:
        """Takes issuers into force: by what their JWTs say in `iss`, and the one of opaque tokens."""
        self._issuers, self._opaque = issuers, opaque
        self._cache.clear()

    async def principal_of(self, credential: Credential | None, peer: Peer | None, now_s: float) -> Principal:
        """Who calls.

        Args:
            credential: What the metadata holds.
            peer: The connection's client certificate.
            now_s: The time, Unix seconds.

        Raises:
            CredentialMissing: Neither credential nor certificate.
            CredentialRefused: It gives no access.
            CredentialUndecided: Its issuer cannot be asked.
        """
        if credential is None:
            if peer is None:
                raise CredentialMissing
            return self._certificates.principal_of(peer)
        value = credential.value
        if value.startswith(PREFIX):
            principal = self._identities.access_keys.principal_of(value, now_s)
            self._used(principal.credential_id)
            return principal
        verified = self._cache.get(value, now_s)
        if verified is None:
            age = self._cache.age
            verified = await self._verified(credential, now_s)
            self._cache.put(value, verified, now_s, age)
        if verified.certificate_hash is not None and (
            peer is None or peer.certificate_hash != verified.certificate_hash
        ):
            raise CredentialRefused("token bound to another client certificate")
        if verified.principal.method == "service_account":
            self._used(verified.principal.credential_id)
        return verified.principal

    async def _verified(self, credential: Credential, now_s: float) -> Verified:
        token, address = credential
        peeked = peek(token)
        if peeked is None:
            if self._opaque is None:
                raise CredentialRefused("neither an access key nor a JWT")
            return await self._opaque.verify(token, address, now_s)
        return await self._verifier_of(peeked.claims.get("iss")).verify(token, peeked, now_s)

    def _verifier_of(self, issuer: object) -> TokenVerifier:
        if not isinstance(issuer, str):
            raise CredentialRefused("token without an issuer")
        if issuer.startswith(ID_PREFIX):
            return self._accounts
        verifier = self._issuers.get(issuer)
        if verifier is None:
            raise CredentialRefused("token of an unknown issuer")
        return verifier

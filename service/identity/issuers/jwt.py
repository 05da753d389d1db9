"""Access tokens that are JWTs, signed by one of their issuer's keys (RFC 9068)."""

from collections.abc import Mapping
from typing import Any

from service.config import IssuerConfig
from service.identity.issuers.key_cache import KeyCache
from service.identity.issuers.mapping import principal_of
from service.identity.jwt_checks import certificate_hash_of, claims_of
from service.identity.refusals import CredentialRefused
from service.identity.tokens import Peeked, Verified

KID_CHARS_MAX = 256
_ACCESS_TOKEN = frozenset({"at+jwt", "application/at+jwt"})


class IssuerJwts:
    """Verifies the JWTs of one issuer; see `TokenVerifier`.

    Args:
        name: What the config calls the issuer.
        config: What the config says of it.
        audience: What its tokens have to name in `aud`.
        keys: Its keys.
    """

    def __init__(self, name: str, config: IssuerConfig, audience: str, keys: KeyCache) -> None:
        self._name = name
        self._config = config
        self._audience = audience
        self._keys = keys

    async def verify(self, token: str, peeked: Peeked | None, now_s: float) -> Verified:
        """See `TokenVerifier`."""
        if peeked is None:
            raise CredentialRefused("not a JWT")
        algorithm, kid = peeked.header.get("alg"), peeked.header.get("kid")
        # Before a key is asked for, so that nobody else's tokens make us ask.
        if not isinstance(algorithm, str) or algorithm not in self._config.algorithms:
            raise CredentialRefused("token of another algorithm")
        if kid is not None and (not isinstance(kid, str) or len(kid) > KID_CHARS_MAX):
            raise CredentialRefused("token with a malformed kid")
        claims = claims_of(
            token,
            await self._keys.key(algorithm, kid),
            [algorithm],
            issuer=self._config.issuer,
            audience=self._audience,
            now_s=now_s,
            types=_ACCESS_TOKEN if self._config.rfc9068 else None,
        )
        if self._config.rfc9068:
            _require_rfc9068(claims)
        principal = principal_of(self._name, self._config, claims, claims["sub"])
        return Verified(principal, claims["exp"], certificate_hash_of(claims))


def _require_rfc9068(claims: Mapping[str, Any]) -> None:
    """Refuses what lacks a claim that RFC 9068 section 2.2 requires, beside those that every JWT needs here."""
    for name in ("client_id", "jti"):
        value = claims.get(name)
        if not isinstance(value, str) or not value:
            raise CredentialRefused(f"token without a {name}")

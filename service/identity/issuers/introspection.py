"""Opaque access tokens: what they say is asked for at their issuer (RFC 7662).

An answer is kept by who asks. That a token is not active is remembered here, so that one that was revoked does not
ask at every call; and so is which ones were active, which are asked for first. Nothing is believed that the issuer
did not say just now: without an answer there is no access.
"""

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote_plus

from service.config import IssuerConfig
from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import TIMEOUT_S, Fetcher, FetchFailed
from service.identity.issuers.flights import Flights
from service.identity.issuers.mapping import principal_of
from service.identity.issuers.shares import Shares, origin_of
from service.identity.jwt_checks import AUDIENCES_MAX, certificate_hash_of
from service.identity.refusals import CredentialRefused, CredentialUndecided, IdentityError
from service.identity.token_cache import KEPT_MAX_S
from service.identity.tokens import SKEW_S, TOKEN_BYTES_MAX, Verified

REFUSED_KEPT_S = 10.0
REFUSED_MAX = 1000
SEEN_MAX = 10_000
_ACCESS_TOKEN_KINDS = {"token_use": {"access_token", "access"}, "token_type": {"bearer", "access_token"}}
"""What issuers call access tokens, in members that RFC 7662 leaves open or describes for another purpose."""


class Introspection:
    """Verifies the opaque tokens of one issuer; see `OpaqueVerifier`.

    Args:
        name: What the config calls the issuer.
        config: What the config says of it.
        audience: What its tokens have to be for.
        secret: Of the client that we are there.
        fetcher: Asks it.
        endpoint: Where tokens are asked for.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        name: str,
        config: IssuerConfig,
        audience: str,
        secret: str,
        fetcher: Fetcher,
        endpoint: Endpoint,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._config = config
        self._audience = audience
        self._authorization = basic_authorization(config.client_id or "", secret)
        self._fetcher = fetcher
        self._endpoint = endpoint
        self._clock = clock
        self._asking = Flights[dict[str, Any]]()
        self._shares = Shares()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._refused: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    async def verify(self, token: str, address: str, now_s: float) -> Verified:
        """See `OpaqueVerifier`."""
        if not token.isascii() or not token.isprintable():
            raise CredentialRefused("not an opaque token")
        if len(token) > TOKEN_BYTES_MAX:
            raise CredentialRefused("token too long")
        digest = sha256(token.encode()).digest()
        until_s, why = self._refused.get(digest, (0.0, ""))
        if until_s > self._clock():
            raise CredentialRefused(why)
        answer = await self._answer(digest, token, address)
        try:
            verified = self._verified(answer, now_s)
        except CredentialRefused as refused:
            self._remember_refused(digest, refused)
            raise
        self._remember_seen(digest)
        return verified

    async def close(self) -> None:
        """Ends what is being asked."""
        await self._asking.close()

    async def _answer(self, digest: bytes, token: str, address: str) -> dict[str, Any]:
        origin, seen = origin_of(address), digest in self._seen
        if digest not in self._asking and not self._shares.enter(origin, seen=seen):
            raise CredentialUndecided(f"too many tokens are being asked for at {self._name}")
        try:
            return await self._asking.join(digest, lambda: self._ask(token, origin, seen=seen))
        except TimeoutError:
            raise CredentialUndecided(f"{self._name} does not answer") from None

    async def _ask(self, token: str, origin: str, *, seen: bool) -> dict[str, Any]:
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            async with asyncio.timeout(TIMEOUT_S), self._shares.turn(origin, seen=seen):
                return await self._fetcher.post(await self._endpoint.url(), form, self._authorization)
        except FetchFailed as failed:
            raise CredentialUndecided(f"{self._name} cannot be asked: {failed.why}") from None
        finally:
            self._shares.leave(origin, seen=seen)

    def _verified(self, answer: Mapping[str, Any], now_s: float) -> Verified:
        if answer.get("active") is not True:
            raise CredentialRefused("token that is not active")
        if answer.get("iss", self._config.issuer) != self._config.issuer:
            raise CredentialRefused("token of another issuer")
        _require_access_token(answer)
        audiences = answer.get("aud")
        audiences = audiences if isinstance(audiences, list) else [audiences]
        if self._audience not in audiences or len(audiences) > AUDIENCES_MAX:
            raise CredentialRefused("token for another audience")
        expires_at_s = _expires_at_s(answer, now_s)
        # Without a user, the client is whom the token is about (RFC 9068 section 2.2).
        subject = answer.get("sub", answer.get("client_id"))
        if not isinstance(subject, str) or not subject:
            raise CredentialRefused("token without a subject")
        principal = principal_of(self._name, self._config, answer, subject)
        return Verified(principal, expires_at_s, certificate_hash_of(dict(answer)))

    def _remember_seen(self, digest: bytes) -> None:
        self._seen[digest] = None
        self._seen.move_to_end(digest)
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def _remember_refused(self, digest: bytes, refused: IdentityError) -> None:
        self._seen.pop(digest, None)
        self._refused.pop(digest, None)
        self._refused[digest] = self._clock() + REFUSED_KEPT_S, refused.why
        if len(self._refused) > REFUSED_MAX:
            self._refused.popitem(last=False)


def _require_access_token(answer: Mapping[str, Any]) -> None:
    """Refuses what an issuer knows, too, and answers for: the hint in the question binds it to nothing."""
    for name, kinds in _ACCESS_TOKEN_KINDS.items():
        kind = answer.get(name)
        if kind is not None and not (isinstance(kind, str) and kind.lower() in kinds):
            raise CredentialRefused("token that is no access token")


def basic_authorization(client_id: str, secret: str) -> str:
    """The `Authorization` header of a client: both form-encoded before they are joined (RFC 6749 section 2.3.1)."""
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _expires_at_s(answer: Mapping[str, Any], now_s: float) -> float:
    for name in ("exp", "iat", "nbf"):
        value = answer.get(name, now_s)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CredentialRefused(f"token with an {name} that is no time")
    if answer.get("iat", now_s) > now_s + SKEW_S or answer.get("nbf", now_s) > now_s + SKEW_S:
        raise CredentialRefused("token not valid yet")
    expires_at_s = float(answer.get("exp", now_s + KEPT_MAX_S))
    if expires_at_s <= now_s - SKEW_S:
        raise CredentialRefused("expired token")
    return expires_at_s

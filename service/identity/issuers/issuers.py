"""The issuers that the config trusts, each with its own connections, keys and background fetches."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from service.config import IssuerConfig
from service.identity.authenticator import Authenticator
from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import Fetcher
from service.identity.issuers.introspection import Introspection
from service.identity.issuers.jwt import IssuerJwts
from service.identity.issuers.key_cache import KeyCache
from service.identity.tokens import TokenVerifier


class Terms(NamedTuple):
    """All that the config says of an issuer."""

    config: IssuerConfig
    audience: str
    client_secret: str | None

    def __repr__(self) -> str:
        return f"<Terms of {self.config.issuer}>"


@dataclass(frozen=True, slots=True)
class _Issuer:
    terms: Terms
    verifier: TokenVerifier
    fetcher: Fetcher
    asks: KeyCache | Introspection
    following: asyncio.Task[None] | None

    async def close(self) -> None:
        if self.following is not None:
            self.following.cancel()
            await asyncio.wait({self.following})
        await self.asks.close()
        await self.fetcher.close()


class Issuers:
    """Keeps the authenticator's issuers as the config says. Use it inside an event loop, and close it.

    Args:
        authenticator: Told which issuers there are.
        clock: Seconds that only ever grow.
    """

    def __init__(self, authenticator: Authenticator, clock: Callable[[], float] = time.monotonic) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._issuers: dict[str, _Issuer] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def take_over(self, terms: Mapping[str, Terms]) -> None:
        """Takes issuers into force, by what the config calls them; one whose terms are the same stays as it is."""
        before, self._issuers = self._issuers, {}
        for name, its_terms in terms.items():
            known = before.get(name)
            if known is not None and known.terms == its_terms:
                self._issuers[name] = before.pop(name)
            else:
                self._issuers[name] = self._opened(name, its_terms)
        for issuer in before.values():
            task = asyncio.create_task(issuer.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        jwts = {each.terms.config.issuer: each.verifier for each in self._issuers.values() if not _is_opaque(each)}
        opaque = [each.verifier for each in self._issuers.values() if _is_opaque(each)]
        self._authenticator.trust(jwts, opaque[0] if opaque else None)

    async def close(self) -> None:
        """Closes every connection, and ends every fetch."""
        await asyncio.gather(*self._leaving, *(issuer.close() for issuer in self._issuers.values()))

    def _opened(self, name: str, terms: Terms) -> _Issuer:
        config = terms.config
        fetcher = Fetcher(private_addresses=config.private_addresses)
        if config.tokens == "opaque":
            url = Endpoint(fetcher, config.issuer, "introspection_endpoint", config.introspection_url, self._clock)
            secret = terms.client_secret or ""
            asks = Introspection(name, config, terms.audience, secret, fetcher, url, self._clock)
            return _Issuer(terms, asks, fetcher, asks, None)
        url = Endpoint(fetcher, config.issuer, "jwks_uri", config.jwks_url, self._clock)
        keys = KeyCache(name, fetcher, url, config.algorithms, self._clock)
        verifier = IssuerJwts(name, config, terms.audience, keys)
        return _Issuer(terms, verifier, fetcher, keys, asyncio.create_task(keys.follow()))


def _is_opaque(issuer: _Issuer) -> bool:
    return issuer.terms.config.tokens == "opaque"

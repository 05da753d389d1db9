"""The issuers that the config trusts, each with its own connections, keys and background fetches."""

import asyncio
import contextlib
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
    jwts: IssuerJwts | None
    opaque: Introspection | None
    """None: it issues none of this kind."""
    closing: contextlib.AsyncExitStack


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
            task = asyncio.create_task(issuer.closing.aclose())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        issuers = self._issuers.values()
        jwts = {each.terms.config.issuer: each.jwts for each in issuers if each.jwts is not None}
        opaque = next((each.opaque for each in issuers if each.opaque is not None), None)
        self._authenticator.trust(jwts, opaque)

    async def close(self) -> None:
        """Closes every connection, and ends every fetch."""
        await asyncio.gather(*self._leaving, *(issuer.closing.aclose() for issuer in self._issuers.values()))

    def _opened(self, name: str, terms: Terms) -> _Issuer:
        config, closing = terms.config, contextlib.AsyncExitStack()
        fetcher = Fetcher(private_addresses=config.private_addresses)
        closing.push_async_callback(fetcher.close)
        jwts = opaque = None
        if config.tokens != "opaque":
            jwts = self._verifying(name, terms, fetcher, closing)
        if config.tokens != "jwt":
            opaque = self._asking(name, terms, fetcher, closing)
        return _Issuer(terms, jwts, opaque, closing)

    def _verifying(self, name: str, terms: Terms, fetcher: Fetcher, closing: contextlib.AsyncExitStack) -> IssuerJwts:
        config = terms.config
        url = Endpoint(fetcher, config.issuer, "jwks_uri", config.jwks_url, self._clock)
        keys = KeyCache(name, fetcher, url, config.algorithms, self._clock)
        following = asyncio.create_task(keys.follow())
        closing.push_async_callback(url.close)
        closing.push_async_callback(keys.close)
        closing.push_async_callback(_ended, following)
        return IssuerJwts(name, config, terms.audience, keys)

    def _asking(self, name: str, terms: Terms, fetcher: Fetcher, closing: contextlib.AsyncExitStack) -> Introspection:
        config = terms.config
        url = Endpoint(fetcher, config.issuer, "introspection_endpoint", config.introspection_url, self._clock)
        asking = Introspection(name, config, terms.audience, terms.client_secret or "", fetcher, url, self._clock)
        closing.push_async_callback(url.close)
        closing.push_async_callback(asking.close)
        return asking


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})

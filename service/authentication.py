"""Makes what identifies callers, and keeps it up to date with the config and the database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service.books.alerts import Alerts
from service.books.books import Books
from service.books.errors import BooksUnavailable
from service.config import ConfigError
from service.identity.authenticator import Authenticator
from service.identity.identities import Identities
from service.identity.issuers.issuers import Issuers, Terms
from service.identity.last_used import LastUsed
from service.identity.principal import Principal
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import TokenCache
from service.identity.trust_domains import TrustDomains
from service.snapshot import Snapshot

LAST_USED_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Authentication:
    """Everything that identifies callers."""

    authenticator: Authenticator
    identities: Identities
    accounts: ServiceAccounts
    spiffe_ids: SpiffeIds
    trust_domains: TrustDomains
    issuers: Issuers

    def take_over(self, snapshot: Snapshot) -> None:
        """Takes a config that is about to come into force."""
        identity = snapshot.loaded.config.identity
        self.accounts.expected = Expected(identity.audience, identity.organisation)
        self.trust_domains.know(snapshot.bundles)
        self.spiffe_ids.know(
            {
                spiffe_id: Principal(
                    each.team, each.name, each.scopes, "mtls", spiffe_id, each.models, each.max_tokens_per_call
                )
                for spiffe_id, each in identity.spiffe_ids.items()
            }
        )
        self.issuers.take_over(
            {
                name: Terms(each, each.audience or identity.audience, snapshot.client_secrets.get(name))
                for name, each in identity.issuers.items()
            }
        )
        self.identities.take_over(snapshot.loaded.config.environment, snapshot.peppers)


@contextlib.asynccontextmanager
async def authentication(books: Books, alerts: Alerts) -> AsyncIterator[Authentication]:
    """Reads who may call, and follows it inside the context.

    Raises:
        ConfigError: The database cannot be read.
    """
    cache = TokenCache()
    identities = Identities(books, cache.clear, alerts.forged_credentials)
    try:
        await identities.refresh()
    except BooksUnavailable as error:
        raise ConfigError([f"books.database: {error}"]) from None
    accounts = ServiceAccounts(lambda: identities.accounts)
    spiffe_ids, trust_domains = SpiffeIds(), TrustDomains()
    last_used = LastUsed(books)
    authenticator = Authenticator(identities, accounts, spiffe_ids, cache, last_used.note)
    issuers = Issuers(authenticator)
    tasks = [asyncio.create_task(work) for work in (identities.follow(), last_used.keep())]
    try:
        yield Authentication(authenticator, identities, accounts, spiffe_ids, trust_domains, issuers)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):  # a day that is not written is no reason not to stop
            await asyncio.wait_for(last_used.write(), LAST_USED_WAIT_S)
        await issuers.close()

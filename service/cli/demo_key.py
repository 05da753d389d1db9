"""Lets the demo's access key into the database of one of the demo's configs."""

import datetime

from service import offline
from service.books.errors import BooksUnavailable
from service.cli.demo_folder import DemoFolder
from service.config import ConfigError, LoadedConfig
from service.identity.access_key_rows import ACCESS_KEY_LIFETIME_MAX, NewAccessKey
from service.identity.access_keys import digest_of, parsed
from service.identity.identities import Identities
from service.identity.importing import import_keys
from service.identity.refusals import CredentialRefused
from service.identity.seals import Seals
from service.snapshot import snapshot_of

_SCOPES = frozenset({"chat", "embed", "rerank", "usage:read", "keys:rotate", "audit:read", "admin"})


async def let_in(folder: DemoFolder, loaded: LoadedConfig, now: datetime.datetime) -> None:
    """Lets the folder's access key in for a year, unless the database has it already.

    Args:
        folder: Has the key.
        loaded: One of its configs.
        now: With a time zone.

    Raises:
        ConfigError: The database cannot be opened, or the key gives no access any more.
    """
    access_key, snapshot = folder.access_key(), snapshot_of(loaded)
    peppers, version = snapshot.peppers, snapshot.pepper_version
    try:
        expires_at_us = int((now + ACCESS_KEY_LIFETIME_MAX).timestamp()) * 1_000_000
        digest = digest_of(access_key, peppers[version])
        key = NewAccessKey(parsed(access_key)[1], digest, version, "demo", "demo", _SCOPES, expires_at_us)
        async with offline.books_of(loaded) as books:
            await books.change(import_keys([key], "cohort demo", Seals(peppers)))
            identities = Identities(books, lambda: None)
            identities.take_over(loaded.config.environment, peppers)
            await identities.refresh()
        identities.access_keys.principal_of(access_key, now.timestamp())
    except BooksUnavailable as error:
        raise ConfigError([f"books.database: {error.why}"]) from None
    except CredentialRefused as refused:
        raise ConfigError([f"{folder.path}: {refused.why}: delete the folder to begin anew"]) from None

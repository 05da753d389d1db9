"""Access keys for the service of a test: written as the tables of an old config, and taken into its database."""

import asyncio
import datetime
import re
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import orjson

from service import config, offline
from service.books.books import Books
from service.config import LoadedConfig
from service.identity import access_keys
from service.identity.access_key_rows import NewAccessKey
from service.identity.access_keys import AccessKeys
from service.identity.identities import Identities
from service.identity.importing import import_keys, keys_in
from service.identity.seals import Seals
from service.snapshot import snapshot_of

PEPPER = "pepper-of-the-tests-0123456789abcdef"

_TABLE = re.compile(r"\[\[access_keys\]\]\n(?:[a-z_]+ = .*\n?)*")

T = TypeVar("T")


def access_key_lines(
    team: str, name: str, scopes: Sequence[str], *, days: float = 1, environment: str = "test", more: str = ""
) -> tuple[str, str]:
    """Makes an access key; gives it and its table."""
    key_id, access_key = access_keys.create(environment)
    digest = access_keys.digest_of(access_key, PEPPER.encode()).hex()
    expires_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    lines = (
        f'[[access_keys]]\nid = "{key_id}"\nhash = "1:{digest}"\nteam = "{team}"\nname = "{name}"\n'
        f"scopes = {orjson.dumps(list(scopes)).decode()}\nexpires_at = {expires_at.isoformat()}\n{more}"
    )
    return access_key, lines


def take_over_keys(config_file: Path) -> None:
    """Moves the key tables that stand in a config into its database; no service may have it open yet."""
    text = config_file.read_text()
    tables = "".join(_TABLE.findall(text))
    config_file.write_text(_TABLE.sub("", text))
    loaded = config.load(config_file)
    let_in(loaded, keys_in(tables, loaded.config))


def let_in(loaded: LoadedConfig, keys: Sequence[NewAccessKey]) -> None:
    """Takes keys into the database of a config."""
    at_books(loaded, lambda books: books.change(import_keys(keys, "tests", seals_of(loaded))))


def seals_of(loaded: LoadedConfig) -> Seals:
    """What the rows of a config's database are sealed with."""
    return Seals(snapshot_of(loaded).peppers)


def access_keys_of(loaded: LoadedConfig) -> AccessKeys:
    """The access keys in the database of a config, as its service would check them."""

    async def read(books: Books) -> AccessKeys:
        identities = Identities(books, lambda: None)
        identities.take_over(loaded.config.environment, snapshot_of(loaded).peppers)
        await identities.refresh()
        return identities.access_keys

    return at_books(loaded, read)


def at_books(loaded: LoadedConfig, work: Callable[[Books], Awaitable[T]]) -> T:
    """Does something with the books of a config, whether a loop runs in this thread or not."""

    async def done() -> T:
        async with offline.books_of(loaded) as books:
            return await work(books)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, done()).result()

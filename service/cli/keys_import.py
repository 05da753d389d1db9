"""`cohort keys import`: takes the `[[access_keys]]` tables of an old config into the database."""

import argparse
from pathlib import Path

import uvloop

from service import config, offline
from service.books.errors import BooksUnavailable
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import add_config, problems_told
from service.config import ConfigError, LoadedConfig
from service.identity.access_key_rows import NewAccessKey
from service.identity.importing import import_keys, keys_in

BY = "cohort keys import"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="TOML with [[access_keys]] tables, such as the old config"
    )
    add_config(parser)
    parser.set_defaults(run=_run)


async def _imported(loaded: LoadedConfig, keys: list[NewAccessKey]) -> list[str]:
    async with offline.books_of(loaded) as books:
        ids: list[str] = await books.change(import_keys(keys, BY))
        return ids


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        loaded = config.load(arguments.config, with_access_keys=True)
        try:
            keys = keys_in(arguments.file.read_text(encoding="utf-8"), loaded.config)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{arguments.file}: {error}", NOT_STARTED) from None
        except ConfigError as error:
            raise ConfigError([f"{arguments.file}: {problem}" for problem in error.problems]) from None
        try:
            ids = uvloop.run(_imported(loaded, keys))
        except BooksUnavailable as error:
            raise CommandFailed(f"books.database: {error.why}") from None
    old = len(keys) - len(ids)
    there = f", {old} {'was' if old == 1 else 'were'} there before" if old else ""
    print(f"{len(ids)} access key{'' if len(ids) == 1 else 's'} imported{there}")
    return 0

"""`cohort keys import`: moves the `[[access_keys]]` tables of a config into the database."""

import argparse
from pathlib import Path

import uvloop

from service import config, offline
from service.books.errors import BooksUnavailable
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import add_config, problems_told
from service.cli.grants import DAYS_MAX
from service.cli.key_tables import take_out
from service.config import ConfigError, LoadedConfig
from service.identity.access_key_rows import NewAccessKey
from service.identity.importing import Imported, import_keys, keys_in
from service.identity.seals import Seals
from service.snapshot import snapshot_of

BY = "cohort keys import"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="another TOML with [[access_keys]] tables, which is left as it is (default: the config, which loses them)",
    )
    add_config(parser)
    parser.set_defaults(run=_run)


async def _imported(loaded: LoadedConfig, keys: list[NewAccessKey], seals: Seals) -> Imported:
    async with offline.books_of(loaded) as books:
        imported: Imported = await books.change(import_keys(keys, BY, seals))
        return imported


def _run(arguments: argparse.Namespace) -> int:
    file = arguments.file or arguments.config
    with problems_told():
        loaded = config.load(arguments.config, with_access_keys=True)
        try:
            keys = keys_in(file.read_text(encoding="utf-8"), loaded.config)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{file}: {error}", NOT_STARTED) from None
        except ConfigError as error:
            raise ConfigError([f"{file}: {problem}" for problem in error.problems]) from None
        try:
            imported = uvloop.run(_imported(loaded, keys, Seals(snapshot_of(loaded).peppers)))
        except BooksUnavailable as error:
            raise CommandFailed(f"books.database: {error.why}") from None
    print(_told(imported, len(keys)))
    if keys and file.exists() and file.samefile(arguments.config):
        _take_out(file)
    return 0


def _told(imported: Imported, keys: int) -> str:
    new, old = len(imported.ids), keys - len(imported.ids)
    there = f", {old} {'was' if old == 1 else 'were'} there before" if old else ""
    cut = "".join(
        f"\n{key_id} ends {DAYS_MAX} days from now, earlier than was written: no access key lives longer"
        for key_id in imported.cut
    )
    return f"{new} access key{'' if new == 1 else 's'} imported{there}{cut}"


def _take_out(file: Path) -> None:
    """Takes the tables out of the config, so that a service starts with it.

    Raises:
        CommandFailed: It cannot be changed; the keys are in the database all the same.
    """
    by_hand = "the access keys are in the database: delete the [[access_keys]] tables by hand, no service starts before"
    try:
        kept = take_out(file)
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}: {by_hand}") from None
    if kept is None:
        raise CommandFailed(f"{file}: {by_hand}")
    print(f"{file} has no [[access_keys]] any more; {kept} is what it was")

"""`cohort migrate`: brings the database to the schema of this version, and makes it if it is not there."""

import argparse

import uvloop

from service import config
from service.cli.commands import CommandFailed
from service.cli.configs import add_config, problems_told
from service.config import LoadedConfig
from service.storage.errors import StorageError
from service.storage.migrate import migrate, migrations
from service.storage.opening import open_database


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.set_defaults(run=_run)


async def _migrate(loaded: LoadedConfig) -> int:
    database = await open_database(loaded.database_url(), loaded.database_password())
    try:
        return await migrate(database)
    finally:
        await database.close()


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        loaded = config.load(arguments.config)
        try:
            applied = uvloop.run(_migrate(loaded))
        except StorageError as error:
            raise CommandFailed(f"books.database: {error}") from None
    steps = f"{applied} step{'' if applied == 1 else 's'}"
    print(f"{loaded.config.books.database} has schema {migrations()[-1].version} ({steps} applied)")
    return 0

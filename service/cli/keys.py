"""`cohort keys`: access keys, with which callers identify themselves."""

import argparse

from service.cli.commands import Command, add_commands


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    summary = "Take the access keys of an old config into the database."
    add_commands(parser, [Command("import", "service.cli.keys_import", summary)])

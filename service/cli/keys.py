"""`cohort keys`: access keys, with which callers identify themselves."""

import argparse

from service.cli.commands import Command, add_commands

COMMANDS = (
    Command("create", "service.cli.keys_create", "Make an access key and print it, once."),
    Command("list", "service.cli.keys_list", "List access keys."),
    Command("rotate", "service.cli.keys_rotate", "Make an access key in the place of another, which goes on a while."),
    Command("revoke", "service.cli.keys_revoke", "End an access key."),
    Command("import", "service.cli.keys_import", "Take the access keys of an old config into the database."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    add_commands(parser, COMMANDS)

"""`cohort keys`: access keys, with which callers identify themselves."""

import argparse

from service.cli.commands import Command, add_commands


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    summary = "Make an access key and the lines of the config that let it in."
    add_commands(parser, [Command("create", "service.cli.keys_create", summary)])

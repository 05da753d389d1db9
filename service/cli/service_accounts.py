"""`cohort service-accounts`: callers that sign their own short-lived tokens."""

import argparse

from service.cli.commands import Command, add_commands

COMMANDS = (
    Command("create", "service.cli.service_accounts_create", "Make a service account and print its private key, once."),
    Command("list", "service.cli.service_accounts_list", "List service accounts."),
    Command("revoke", "service.cli.service_accounts_revoke", "End a service account and all its tokens."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    add_commands(parser, COMMANDS)

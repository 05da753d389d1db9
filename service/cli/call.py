"""`cohort call`: calls a running Cohort by hand."""

import argparse

from service.cli.commands import Command, add_commands

COMMANDS = (
    Command("chat", "service.cli.call_chat", "Chat, printing the answer as it is written."),
    Command("embed", "service.cli.call_embed", "Turn texts into vectors."),
    Command("rerank", "service.cli.call_rerank", "Order documents by their relevance to a query."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    add_commands(parser, COMMANDS)

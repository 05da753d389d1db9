"""`cohort teams`: shows teams, stops a team's spending, and lets it go on."""

import argparse

from service.cli.commands import Command, add_commands

COMMANDS = (
    Command("list", "service.cli.teams_list", "What teams may use, their budgets, limits and Cohere keys."),
    Command("show", "service.cli.teams_show", "The same of one team."),
    Command("freeze", "service.cli.teams_freeze", "Refuse a team's new calls to Cohere, from the next one on."),
    Command("unfreeze", "service.cli.teams_unfreeze", "Let a frozen team go again."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    add_commands(parser, COMMANDS)

"""`cohort budget`: corrects what a budget says."""

import argparse

from service.cli.commands import Command, add_commands

COMMANDS = (Command("adjust", "service.cli.budget_adjust", "Charge an amount to a team's budget, or give it back."),)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    add_commands(parser, COMMANDS)

"""`cohort teams unfreeze`: a frozen team's calls are paid for again."""

import argparse

from service.cli.teams_freeze import configure_frozen


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    configure_frozen(parser, frozen=False)

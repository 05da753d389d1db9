"""`cohort serve`: serves until SIGTERM or Ctrl-C."""

import argparse

import uvloop

from service import config, server
from service.cli.configs import add_config, problems_told


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        uvloop.run(server.serve(config.load(arguments.config)))
    return 0

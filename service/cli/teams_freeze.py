"""`cohort teams freeze`: from the next call on, nothing new of a team's is paid for."""

import argparse

from cohort.v1.budget_pb2 import SetTeamFrozenRequest
from service.cli import calling
from service.cli.printing import show
from service.cli.times import told


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    configure_frozen(parser, frozen=True)


def configure_frozen(parser: argparse.ArgumentParser, *, frozen: bool) -> None:
    """Adds the arguments of a command that freezes a team or lets it go."""
    parser.add_argument("team", metavar="TEAM", help="the team, as the config names it")
    parser.add_argument("--note", required=True, metavar="TEXT", help="why; stands in the audit trail")
    calling.add_target(parser)
    parser.set_defaults(run=_run, frozen=frozen)


def _run(arguments: argparse.Namespace) -> int:
    request = SetTeamFrozenRequest(team=arguments.team, frozen=arguments.frozen, note=arguments.note)
    with calling.caller(arguments) as caller:
        state = caller.call(caller.admin.SetTeamFrozen, request)
    since = f"frozen since {told(state.since_time)}" if state.frozen else "not frozen"
    show(f"Team {state.team} is {since}.\n")
    return 0

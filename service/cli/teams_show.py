"""`cohort teams show`: one team, by default the caller's own."""

import argparse

from cohort.v1.team_pb2 import GetTeamRequest
from service.cli import calling
from service.cli.printing import show
from service.cli.requests import as_json_line
from service.cli.teams_table import teams_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "team", nargs="?", default="", metavar="TEAM", help="needs the scope admin (default: the caller's own)"
    )
    parser.add_argument("--json", action="store_true", help="print the Team as JSON, on one line")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with calling.caller(arguments) as caller:
        team = caller.call(caller.admin.GetTeam, GetTeamRequest(team=arguments.team)).team
    show(f"{as_json_line(team)}\n" if arguments.json else f"{teams_text([team])}\n")
    return 0

"""`cohort teams list`: what teams may use, and how it stands with their budgets and Cohere keys."""

import argparse

from cohort.v1.team_pb2 import ListTeamsRequest, Team
from service.cli import calling
from service.cli.printing import show
from service.cli.requests import as_json_line
from service.cli.teams_table import teams_text

PAGE_TEAMS = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print each Team as JSON, one a line")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with calling.caller(arguments) as caller:
        teams = _all(caller)
    if arguments.json:
        show("".join(f"{as_json_line(team)}\n" for team in teams))
    else:
        show(f"{teams_text(teams)}\n")
    return 0


def _all(caller: calling.Caller) -> list[Team]:
    request = ListTeamsRequest(page_size=PAGE_TEAMS)
    teams: list[Team] = []
    while True:
        page = caller.call(caller.admin.ListTeams, request)
        teams.extend(page.teams)
        if not page.next_page_token:
            return teams
        request.page_token = page.next_page_token

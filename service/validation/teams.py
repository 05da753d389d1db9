"""The bounds of ListTeams and GetTeam."""

from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from service.validation.rules import Rules
from service.validation.values import whole, word
from service.validation.violation import Violation, collect
from service.validation.windows import page_token

TEAMS_MAX = 100


def violations_of_list_teams(request: ListTeamsRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered."""
    return collect(lambda findings, checked: _LIST_TEAMS.check(findings, "", checked), request)


def violations_of_get_team(request: GetTeamRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered."""
    return collect(lambda findings, checked: _GET_TEAM.check(findings, "", checked), request)


_LIST_TEAMS = Rules.of(ListTeamsRequest, {"page_size": whole(1, TEAMS_MAX), "page_token": page_token})
_GET_TEAM = Rules.of(GetTeamRequest, {"team": word})

"""`cohort teams list` and `cohort teams show`: what is asked for, and what is shown of the answer."""

from pathlib import Path

import orjson
import pytest

from cohort.v1 import team_pb2
from cohort.v1.rate_limit_pb2 import RateLimit
from cohort.v1.team_pb2 import (
    CohereKeyHealth,
    GetTeamRequest,
    GetTeamResponse,
    ListTeamsRequest,
    ListTeamsResponse,
    Team,
    TeamPolicy,
)
from service.cli import main
from tests.unit.cli.answering import answering
from tests.unit.cli.usage_answers import at, budget

SEARCH = Team(
    name="search",
    policy=TeamPolicy(endpoints=["chat", "embed"], models=["command-a-03-2025"], max_tokens_per_call=4096),
    budget=budget("search", limit=25_000_000_000, spent=12_500_000_000),
    cohere_key=CohereKeyHealth(state=team_pb2.COHERE_KEY_STATE_AVAILABLE, version=2, read_time=at("2026-11-21T09:15Z")),
    rate_limits=[
        RateLimit(name="requests_per_minute", limit=600, remaining=598, reset_time=at("2026-11-21T09:16Z")),
        RateLimit(name="requests_per_day", limit=50_000, remaining=31_204, reset_time=at("2026-11-22T00:00Z")),
        RateLimit(name="in_flight", limit=32, remaining=30),
    ],
    waiting_calls=3,
)
ADS = Team(
    name="ads",
    policy=TeamPolicy(max_tokens_per_call=1, max_input_tokens_per_call=10_000),
    budget=budget("ads", limit=1_000_000_000, spent=0, frozen=True),
    cohere_key=CohereKeyHealth(state=team_pb2.COHERE_KEY_STATE_MISSING, problem="file:ads.key: No such file"),
)
REJECTED = Team(
    name="sale",
    budget=budget("sale", limit=1, spent=0),
    cohere_key=CohereKeyHealth(state=team_pb2.COHERE_KEY_STATE_REJECTED, version=1, read_time=at("2026-11-21T09:15Z")),
)


def test_teams_are_listed_page_by_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = ListTeamsResponse(teams=[ADS], next_page_token="more"), ListTeamsResponse(teams=[SEARCH])
    with answering(*pages) as service:
        assert main(["teams", "list", *service.flags(tmp_path)]) == 0

    assert service.requests == [
        ListTeamsRequest(page_size=100),
        ListTeamsRequest(page_size=100, page_token="more"),
    ]
    assert capsys.readouterr().out.splitlines() == [
        "BUDGET   LIMIT   SPENT   HELD  AVAILABLE  SPENT █ HELD ▒ LEFT ░  RESETS AT",
        "ads      $1.00   $0.00  $0.00      $1.00  ░░░░░░░░░░░░░░░░░░░░   2026-11-22 00:00 UTC",
        "FROZEN",
        "search  $25.00  $12.50  $0.00     $12.50  ██████████░░░░░░░░░░   2026-11-22 00:00 UTC",
        "",
        "TEAM    WAITING  LIMIT                         MOST    USED    LEFT  ALL OF IT AGAIN AT",
        "ads           0  none                             -       -       -  -",
        "search        3  requests per minute            600       2     598  2026-11-21 09:16 UTC",
        "                 requests per day            50,000  18,796  31,204  2026-11-22 00:00 UTC",
        "                 in flight, on this replica      32       2      30  -",
        "",
        "TEAM    ENDPOINTS  MODELS             OUTPUT TOKENS  INPUT TOKENS  COHERE KEY",
        "ads     none       none                           1        10,000  MISSING",
        "                                                                   file:ads.key: No such file",
        "search  chat       command-a-03-2025          4,096             -  available",
        "        embed                                                      version 2, read 2026-11-21 09:15 UTC",
    ]


@pytest.mark.parametrize("team", ["", "search"], ids=["one's own", "another"])
def test_a_team_is_shown(team: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(GetTeamResponse(team=REJECTED)) as service:
        assert main(["teams", "show", *([team] if team else []), *service.flags(tmp_path)]) == 0

    assert service.requests == [GetTeamRequest(team=team)]
    assert "REJECTED BY COHERE" in capsys.readouterr().out


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(ListTeamsResponse(teams=[ADS, SEARCH])) as service:
        assert main(["teams", "list", "--json", *service.flags(tmp_path)]) == 0
    listed = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    with answering(GetTeamResponse(team=SEARCH)) as service:
        assert main(["teams", "show", "search", "--json", *service.flags(tmp_path)]) == 0
    shown = orjson.loads(capsys.readouterr().out)

    assert [each["name"] for each in listed] == ["ads", "search"]
    assert shown == listed[1]
    assert shown["cohere_key"]["state"] == "COHERE_KEY_STATE_AVAILABLE"

"""ListTeams and GetTeam: who sees which teams, page by page, and how it stands with budgets and Cohere keys."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from clients.sandbox import Fault
from cohort.v1 import team_pb2
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest, Team
from service.identity.scopes import ADMIN
from service.money import nanos_of
from tests.e2e.requests import chat, refused
from tests.identity.minters import Holder
from tests.identity.scene import ADS_MODELS, SEARCH_MODELS, Scene, scene

MORE = '[teams."{}"]\ncohere_key = "file:{}.key"\nmodels = ["m"]\nmax_tokens_per_call = 1\ndaily_budget_usd = 1\n'
NAMES = ["ads", "bids", "maps", "search"]


class Teams:
    """The RPCs as one caller has them."""

    def __init__(self, made: Scene, scope: str) -> None:
        self.made = made
        self.metadata = made.minters.access_key.mint(Holder("search", scope)).metadata
        self._stub: Any = AdminServiceStub(made.channel())

    async def get(self, team: str = "") -> Team:
        team_shown: Team = (await self._stub.GetTeam(GetTeamRequest(team=team), metadata=self.metadata)).team
        return team_shown

    async def page(self, size: int = 0, token: str = "") -> Any:
        return await self._stub.ListTeams(ListTeamsRequest(page_size=size, page_token=token), metadata=self.metadata)

    async def chat(self) -> None:
        metadata = self.made.minters.access_key.mint(Holder("search", "chat")).metadata
        stub: Any = GatewayServiceStub(self.made.channel())
        await stub.Chat(chat(), metadata=metadata)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Scene]:
    more = "".join(MORE.format(name, name) for name in ("maps", "bids"))
    (tmp_path / "maps.key").write_text("a-key")
    async with scene(tmp_path, more=more) as running:
        yield running


async def test_an_operator_lists_all_teams_by_name_and_page_by_page(made: Scene) -> None:
    teams = Teams(made, ADMIN)
    whole = await teams.page()
    by_threes: list[list[str]] = []
    token = ""
    while not by_threes or token:
        page = await teams.page(3, token)
        by_threes.append([team.name for team in page.teams])
        token = page.next_page_token

    assert [team.name for team in whole.teams] == NAMES
    assert by_threes == [NAMES[:3], NAMES[3:]]
    assert (whole.next_page_token, list(whole.teams[3].policy.models)) == ("", sorted(SEARCH_MODELS))


async def test_others_see_their_own_team_alone(made: Scene) -> None:
    teams = Teams(made, "usage:read")
    listed = await teams.page(1)
    refusal = await refused(teams.get("ads"))
    unknown = await refused(teams.get("nobody"))

    assert ([team.name for team in listed.teams], listed.next_page_token) == (["search"], "")
    assert (await teams.get()).name == (await teams.get("search")).name == "search"
    assert (refusal.reason, refusal.info.metadata["scope"]) == ("SCOPE_MISSING", "admin")
    assert unknown.reason == "SCOPE_MISSING"


async def test_a_team_that_there_is_not_is_unknown_to_an_operator(made: Scene) -> None:
    refusal = await refused(Teams(made, ADMIN).get("nobody"))

    assert (refusal.reason, refusal.code) == ("TEAM_UNKNOWN", grpc.StatusCode.NOT_FOUND)


async def test_a_team_shows_its_policy_and_what_it_has_spent(made: Scene) -> None:
    teams = Teams(made, ADMIN)
    await teams.chat()
    shown = await teams.get("search")
    other = await teams.get("ads")

    assert (list(other.policy.models), other.policy.max_tokens_per_call) == ([*ADS_MODELS], 500)
    assert not other.policy.HasField("max_input_tokens_per_call")
    assert nanos_of(shown.budget.spent) > nanos_of(other.budget.spent) == 0
    assert nanos_of(shown.budget.limit) == 1000 * 10**9


async def test_the_state_of_a_cohere_key_is_told_and_why_to_operators_alone(made: Scene) -> None:
    teams = Teams(made, ADMIN)
    missing = (await teams.get("bids")).cohere_key
    available = (await teams.get("search")).cohere_key
    made.sandbox.state.faults.add([Fault(status=401, message="no", times=None)])
    await refused(teams.chat())
    rejected = (await teams.get("search")).cohere_key
    made.sandbox.state.faults.clear()
    async with asyncio.timeout(10):
        while (await teams.get("search")).cohere_key.state != team_pb2.COHERE_KEY_STATE_AVAILABLE:
            await asyncio.sleep(0.05)
    await teams.chat()
    (made.folder / "cohere.key").unlink()
    await made.service.reloader.snapshot.clients["search"].keys.renewed()
    kept = (await teams.get("search")).cohere_key
    seen_by_others = (await Teams(made, "usage:read").get()).cohere_key

    assert (missing.state, missing.HasField("version")) == (team_pb2.COHERE_KEY_STATE_MISSING, False)
    assert "bids.key" in missing.problem
    assert (available.state, available.version) == (team_pb2.COHERE_KEY_STATE_AVAILABLE, 1)
    assert (available.problem, available.HasField("read_time"), available.HasField("check_time")) == ("", True, True)
    assert (available.source, [*available.forbidden_endpoints]) == ("file", [])
    assert rejected.state == team_pb2.COHERE_KEY_STATE_REJECTED
    assert (kept.state, kept.read_time) == (team_pb2.COHERE_KEY_STATE_AVAILABLE, available.read_time)
    assert "cohere.key" in kept.problem
    assert seen_by_others.problem == ""

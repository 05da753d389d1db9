"""ListTeams and GetTeam: validate → whose → policy, budget and Cohere key of each → answer."""

from collections.abc import Callable, Sequence

from clients.breaker import Refusal
from clients.teams import TeamClient
from cohort.v1 import team_pb2
from cohort.v1.team_pb2 import (
    CohereKeyHealth,
    CohereKeyState,
    GetTeamRequest,
    GetTeamResponse,
    ListTeamsRequest,
    ListTeamsResponse,
    Team,
    TeamPolicy,
)
from service.books.books import Books
from service.books.errors import TeamUnknown
from service.books.operations import Held
from service.books.standings import standings
from service.call import Call, current_call
from service.context import Context
from service.identity.scopes import ADMIN
from service.limits.limits import Limits, LimitStanding
from service.policy import Policy
from service.servicers.asking import one_team_asked, page_token_of, place_of, require_valid
from service.servicers.budget import fill_budget
from service.servicers.rate_limits import fill_rate_limits
from service.storage.database import Transaction
from service.validation import violations_of_get_team, violations_of_list_teams

TEAMS_DEFAULT = 50

_INT32_MAX = 2**31 - 1


class TeamServicer:
    """The part of AdminService that shows teams.

    Args:
        books: Where their budgets are.
        limits: How often and how much at once they may call.
        waiting: How many calls of a team wait for their turn towards Cohere.
    """

    def __init__(self, books: Books, limits: Limits, waiting: Callable[[str], int]) -> None:
        self._books = books
        self._limits = limits
        self._waiting = waiting

    async def ListTeams(self, request: ListTeamsRequest, _: Context) -> ListTeamsResponse:
        """Lists teams, those that the caller may see, by name."""
        call = current_call()
        require_valid(violations_of_list_teams(request))
        seen = sorted(call.snapshot.policies) if ADMIN in call.caller.scopes else [call.caller.team]
        if request.page_token:
            (last,) = place_of(request.page_token, (str,))
            seen = [name for name in seen if name > last]
        names = seen[: request.page_size or TEAMS_DEFAULT]
        response = ListTeamsResponse()
        for name, (held, limits) in (await self._standings(call, names)).items():
            self._fill_team(response.teams.add(), call, name, held, limits)
        if len(names) < len(seen):
            response.next_page_token = page_token_of([names[-1]])
        return response

    async def GetTeam(self, request: GetTeamRequest, _: Context) -> GetTeamResponse:
        """Shows one team."""
        call = current_call()
        require_valid(violations_of_get_team(request))
        name = one_team_asked(call, request.team)
        if name not in call.snapshot.policies:
            raise TeamUnknown(name)
        held, limits = (await self._standings(call, [name]))[name]
        response = GetTeamResponse()
        self._fill_team(response.team, call, name, held, limits)
        return response

    async def _standings(self, call: Call, names: Sequence[str]) -> dict[str, tuple[Held, list[LimitStanding]]]:
        """Of all of them in one read."""
        zones = {name: call.snapshot.budget_of(name).zone for name in names}
        counted = self._limits.ask(names)

        async def look(tx: Transaction) -> tuple[dict[str, Held], dict[str, int]]:
            return await standings(tx, zones), await counted.read(tx)

        if not zones:
            return {}
        held, taken = await self._books.read(look)
        return {name: (each, self._limits.standings(name, counted, taken)) for name, each in held.items()}

    def _fill_team(self, team: Team, call: Call, name: str, held: Held, limits: Sequence[LimitStanding]) -> None:
        snapshot = call.snapshot
        team.name = name
        team.waiting_calls = self._waiting(name)
        _fill_policy(team.policy, snapshot.policy_of(name))
        fill_rate_limits(team.rate_limits, limits)
        fill_budget(team.budget, name, snapshot.budget_of(name), held)
        client = snapshot.client_of(name)
        _fill_key(team.cohere_key, client)
        if ADMIN in call.caller.scopes:  # it names places that only operators know
            team.cohere_key.problem = client.keys.problem


def _fill_policy(told: TeamPolicy, policy: Policy) -> None:
    told.endpoints.extend(sorted(policy.endpoints))
    told.models.extend(sorted(policy.models))
    told.max_tokens_per_call = policy.max_tokens_per_call
    if policy.max_input_tokens_per_call is not None:
        # More than any message holds: the contract's number cannot say more, and need not.
        told.max_input_tokens_per_call = min(policy.max_input_tokens_per_call, _INT32_MAX)


def _fill_key(health: CohereKeyHealth, client: TeamClient) -> None:
    keys = client.keys
    key, previous = keys.in_use, keys.previous
    health.state = _state_of(client)
    health.source = client.source
    health.forbidden_endpoints.extend(keys.forbidden_endpoints)
    if key is not None:
        health.version = key.version
        health.read_time.FromMicroseconds(key.read_at_us)
    if keys.checked_at_us is not None:
        health.check_time.FromMicroseconds(keys.checked_at_us)
    if previous is not None:
        health.previous_version = previous.version
        if keys.overlap_end_us:
            health.overlap_end_time.FromMicroseconds(keys.overlap_end_us)


def _state_of(client: TeamClient) -> CohereKeyState.ValueType:
    if client.keys.in_use is None:
        return team_pb2.COHERE_KEY_STATE_MISSING
    match client.keys.refusal:
        case Refusal.REJECTED:
            return team_pb2.COHERE_KEY_STATE_REJECTED
        case Refusal.UNPAID:
            return team_pb2.COHERE_KEY_STATE_UNPAID
        case _:
            return team_pb2.COHERE_KEY_STATE_AVAILABLE

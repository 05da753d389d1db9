"""Teams as tables: how it stands with their budgets and limits, and what they may use, with which Cohere key."""

from collections.abc import Iterable, Sequence

from cohort.v1 import team_pb2
from cohort.v1.team_pb2 import CohereKeyHealth, Team
from service.cli.budget_table import budget_table
from service.cli.limits_table import team_limits_table
from service.cli.table import table
from service.cli.times import told

_COLUMNS = ("TEAM", "ENDPOINTS", "MODELS", "OUTPUT TOKENS", "INPUT TOKENS", "COHERE KEY")
_NUMBERS = ("OUTPUT TOKENS", "INPUT TOKENS")
_STATES = {
    team_pb2.COHERE_KEY_STATE_AVAILABLE: "available",
    team_pb2.COHERE_KEY_STATE_MISSING: "MISSING",
    team_pb2.COHERE_KEY_STATE_REJECTED: "REJECTED BY COHERE",
    team_pb2.COHERE_KEY_STATE_UNPAID: "UNPAID",
}


def teams_text(teams: Sequence[Team]) -> str:
    """All three tables."""
    budgets = budget_table(team.budget for team in teams)
    return f"{budgets}\n\n{team_limits_table(teams)}\n\n{_policy_table(teams)}"


def _policy_table(teams: Iterable[Team]) -> str:
    rows = [
        [
            [team.name],
            list(team.policy.endpoints) or ["none"],
            list(team.policy.models) or ["none"],
            [f"{team.policy.max_tokens_per_call:,}"],
            [_cap(team)],
            _key_lines(team.cohere_key),
        ]
        for team in teams
    ]
    return table(_COLUMNS, rows, right=_NUMBERS)


def _cap(team: Team) -> str:
    policy = team.policy
    return f"{policy.max_input_tokens_per_call:,}" if policy.HasField("max_input_tokens_per_call") else "-"


def _key_lines(key: CohereKeyHealth) -> list[str]:
    lines = [_STATES.get(key.state, "unknown")]
    if key.HasField("version"):
        lines.append(f"version {key.version}, read {told(key.read_time)}")
    if key.HasField("previous_version"):
        until = f", kept until {told(key.overlap_end_time)}" if key.HasField("overlap_end_time") else ""
        lines.append(f"previous {key.previous_version}{until}")
    if key.problem:
        lines.append(key.problem)
    return lines

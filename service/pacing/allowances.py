"""What Cohere's limits allow the teams' Cohere keys, by the config."""

from collections.abc import Mapping

from clients.pacing.allowance import Allowance
from service.config import PacingConfig, TeamConfig
from service.config.pacing import AllowanceConfig


def allowances_of(teams: Mapping[str, TeamConfig], pacing: PacingConfig) -> dict[str, Allowance]:
    """By team; those that are not paced are absent."""
    allowances = {"production": _allowance(pacing.production), "trial": _allowance(pacing.trial)}
    kinds = {name: team.cohere_key_kind or pacing.key_kind for name, team in teams.items()}
    return {name: allowances[kind] for name, kind in kinds.items() if kind != "off"}


def _allowance(given: AllowanceConfig) -> Allowance:
    return Allowance(
        chat_requests=given.chat_requests_per_minute,
        embed_inputs=given.embed_inputs_per_minute,
        embed_images=given.embed_images_per_minute,
        rerank_requests=given.rerank_requests_per_minute,
        chat_requests_by_model=given.chat_requests_per_minute_by_model,
    )

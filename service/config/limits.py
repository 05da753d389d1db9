"""How often and how much at once a team may call: its tier, and what it says of its own."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StrictInt

from service.config.base import Section

RATE_MAX = 1_000_000_000

Tier: TypeAlias = Literal["free", "pro", "enterprise"]
Rate: TypeAlias = Annotated[StrictInt, Field(ge=1, le=RATE_MAX)]

TIERS: dict[str, dict[str, int]] = {
    "free": {"requests_per_minute": 60, "requests_per_day": 1_000},
    "pro": {"requests_per_minute": 600, "requests_per_day": 50_000},
    "enterprise": {},
}
"""What each tier allows, by the names of `LimitsConfig`."""


class LimitsConfig(Section):
    """A team's own limits. Beside the tiers `free` and `pro` they can only narrow."""

    requests_per_minute: Rate | None = None
    requests_per_day: Rate | None = None
    """In one of the budget's days."""
    embed_inputs_per_minute: Rate | None = None
    """Texts, images and inputs of its Embeds."""
    in_flight_max: Rate | None = None
    """Calls under way at once, in each process."""

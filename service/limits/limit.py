"""A limit, and all that limit a team. Pure."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Limit:
    """How much there may be in each window of one kind."""

    holder: str
    """Whose it is, as refusals name it: `team:search`."""
    name: str
    """Such as `requests_per_minute`."""
    most: int
    zone: ZoneInfo | None = None
    """Whose days the windows are; None for UTC minutes."""
    of_inputs: bool = False
    """Counts the inputs of Embeds, and not calls."""

    @property
    def scope(self) -> str:
        """The key of its rows."""
        return f"{self.holder}/{self.name}"


@dataclass(frozen=True, slots=True)
class TeamLimits:
    """All that limits a team."""

    rates: tuple[Limit, ...] = ()
    in_flight_max: int | None = None
    """Calls under way at once, in this process."""
    zone: ZoneInfo = UTC
    """Whose days those of its access keys' limits are as well."""


NO_LIMITS = TeamLimits()

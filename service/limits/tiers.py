"""The limits of a team: its tier's, and the narrower ones that the config gives it."""

from zoneinfo import ZoneInfo

from service.config import TeamConfig
from service.config.limits import TIERS
from service.limits.limit import Limit, TeamLimits


def limits_of(name: str, team: TeamConfig) -> TeamLimits:
    """What limits a team, by its config."""
    holder, own = f"team:{name}", team.limits
    most = {**TIERS[team.tier], **own.model_dump(exclude_none=True)}
    zones = {"requests_per_minute": None, "requests_per_day": ZoneInfo(team.time_zone), "embed_inputs_per_minute": None}
    rates = (
        Limit(holder, rate, most[rate], zone, of_inputs=rate.startswith("embed_inputs"))
        for rate, zone in zones.items()
        if rate in most
    )
    return TeamLimits(tuple(rates), own.in_flight_max)

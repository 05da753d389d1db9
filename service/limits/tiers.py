"""The limits of a team: its tier's, and the narrower ones that the config gives it; and those of its access keys."""

from zoneinfo import ZoneInfo

from service.config import TeamConfig
from service.config.limits import TIERS
from service.identity.principal import OwnLimits
from service.limits.limit import Limit, TeamLimits


def limits_of(name: str, team: TeamConfig) -> TeamLimits:
    """What limits a team, by its config."""
    holder, own = f"team:{name}", team.limits
    most = {**TIERS[team.tier], **own.model_dump(exclude_none=True)}
    days = ZoneInfo(team.time_zone)
    zones = {"requests_per_minute": None, "requests_per_day": days, "embed_inputs_per_minute": None}
    rates = (
        Limit(holder, rate, most[rate], zone, of_inputs=rate.startswith("embed_inputs"))
        for rate, zone in zones.items()
        if rate in most
    )
    return TeamLimits(tuple(rates), own.in_flight_max, days)


def limits_of_key(own: OwnLimits, days: ZoneInfo) -> tuple[Limit, ...]:
    """What limits an access key beside its team, whose days are those of *days*."""
    most = {"requests_per_minute": (own.requests_per_minute, None), "requests_per_day": (own.requests_per_day, days)}
    return tuple(Limit(own.holder, rate, n, zone) for rate, (n, zone) in most.items() if n is not None)

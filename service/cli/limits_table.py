"""Limits as a table: how often and how much at once a team may call, what is used of it and what is left.

What replicas hold and have not handed out counts as used, but for those permits that the answering one holds.
"""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from cohort.v1.rate_limit_pb2 import RateLimit
from cohort.v1.team_pb2 import Team
from service.cli.table import table
from service.cli.times import UTC, told

_COLUMNS = ("LIMIT", "MOST", "USED", "LEFT", "ALL OF IT AGAIN AT")
_NUMBERS = ("MOST", "USED", "LEFT", "WAITING")


def limits_table(limits: Iterable[RateLimit], zone: ZoneInfo) -> str:
    """A row for each limit of a caller, its access key's as well; *zone* is that of the team's days."""
    return table(_COLUMNS, (_cells(limit, zone) for limit in limits), right=_NUMBERS)


def team_limits_table(teams: Iterable[Team]) -> str:
    """A row for each limit of each team, and for each team without any; and how many of its calls wait for Cohere."""
    rows = []
    for team in teams:
        zone = ZoneInfo(team.budget.time_zone)
        waiting = [f"{team.waiting_calls:,}"]
        cells = [_cells(limit, zone) for limit in team.rate_limits] or [[["none"], ["-"], ["-"], ["-"], ["-"]]]
        rows += [[[team.name], waiting, *cells[0]], *([[""], [""], *more] for more in cells[1:])]
    return table(("TEAM", "WAITING", *_COLUMNS), rows, right=_NUMBERS)


def _cells(limit: RateLimit, zone: ZoneInfo) -> list[list[str]]:
    name = limit.name.replace("_", " ")
    if limit.holder.startswith("access_key:"):
        name = f"{name}, of the access key"
    numbers = [[f"{number:,}"] for number in (limit.limit, limit.limit - limit.remaining, limit.remaining)]
    if not limit.HasField("reset_time"):
        return [[f"{name}, on this replica"], *numbers, ["-"]]
    by_day = limit.name.endswith("_per_day")
    return [[name], *numbers, [told(limit.reset_time, zone if by_day else UTC)]]

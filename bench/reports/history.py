"""A year of a company's calls, made up: teams from large to small, their access keys and models, busy noons."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from service.books.period import Period, period_at
from service.books.usage import QUARTER_US

TEAMS = tuple(f"team-{number:02}" for number in range(40))
ZONES = tuple(map(ZoneInfo, ("UTC", "Europe/Zurich", "America/New_York", "Asia/Tokyo")))
DAYS = 365
RECORDS_PER_CALL = 1.97
"""Two of those that had an attempt, one of those refused."""

_DAY_US = 86_400_000_000
_MODELS = (
    ("chat", "command-a-03-2025"), ("chat", "command-r7b-12-2024"), ("embed", "embed-v4.0"), ("rerank", "rerank-v3.5"),
)  # fmt: skip
_KEYS_MAX = 4
_USED = 0.7
_REASONS = (("", 0.955), ("COHERE_UNAVAILABLE", 0.01), ("CANCELLED", 0.005))
REFUSED = "BUDGET_SPENT"
_REFUSED_SHARE = 0.03
_NOON, _SPREAD = 48, 16
"""Most calls come at noon, two thirds of them within four hours of it; in quarter hours."""
_SEED = 20261121


def zone_of(team: str) -> ZoneInfo:
    """Where a team's days begin."""
    return ZONES[int(team[-2:]) % len(ZONES)]


class Names(NamedTuple):
    """Who calls what."""

    team: str
    endpoint: str
    model: str
    credential_id: str


class Bunch(NamedTuple):
    """Calls alike, in one quarter hour."""

    quarter_us: int
    day: Period
    names: Names
    reason: str
    calls: int


@dataclass(frozen=True, slots=True)
class _Habit:
    names: Names
    calls_per_day: float


def bunches(records: int, end_us: int) -> Iterator[list[Bunch]]:
    """The calls of a year that ends at *end_us*, day by day of UTC, until they make about so many records."""
    chance = random.Random(_SEED)  # noqa: S311 (to be the same every time)
    habits = _habits(chance, records / RECORDS_PER_CALL / DAYS)
    for day in range(DAYS, 0, -1):
        found: list[Bunch] = []
        for habit in habits:
            found += _day_of(chance, habit, period_at(zone_of(habit.names.team), end_us - day * _DAY_US))
        yield sorted(found, key=lambda bunch: (bunch.quarter_us, bunch.names))


def _habits(chance: random.Random, calls_per_day: float) -> list[_Habit]:
    shares = [
        (Names(team, endpoint, model, f"{team}-key-{key}"), chance.random() ** 2 / (rank + 1))
        for rank, team in enumerate(TEAMS)
        for key in range(chance.randint(1, _KEYS_MAX))
        for endpoint, model in _MODELS
        if chance.random() < _USED
    ]
    whole = sum(share for _, share in shares)
    return [_Habit(names, calls_per_day * share / whole) for names, share in shares]


def _day_of(chance: random.Random, habit: _Habit, day: Period) -> Iterator[Bunch]:
    for reason, share in (*_REASONS, (REFUSED, _REFUSED_SHARE)):
        mean = habit.calls_per_day * share
        calls = max(0, int(chance.gauss(mean, mean**0.5) + chance.random()))
        quarters: dict[int, int] = {}
        for _ in range(calls):
            quarter = min(max(int(chance.gauss(_NOON, _SPREAD)), 0), 4 * 23 - 1)
            quarters[quarter] = quarters.get(quarter, 0) + 1
        for quarter, count in quarters.items():
            yield Bunch(day.start_us + quarter * QUARTER_US, day, habit.names, reason, count)

"""docs/limits.md: what its examples say happens."""

import asyncio
import re
import tomllib
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.config import TeamConfig
from service.config.limits import TIERS
from service.errors import Refused
from service.identity.principal import OwnLimits
from service.limits.decision import Stock
from service.limits.limiter import Limiter
from service.limits.tiers import limits_of
from tests.books.scripted import Scene
from tests.limits.replicas import KEY, TEAM, replica_on, wait_s
from tests.simulation.simulated_time import SimulatedLoop

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WHO = re.compile(r"(\d+) (?:calls|Embeds of (\d+) texts)( with that key)?(?: of others| each)?")
REQUIRED = {"cohere_key": "env:KEY", "models": ["m"], "max_tokens_per_call": 1, "daily_budget_usd": 1}


class Row(NamedTuple):
    """A row of a worked example."""

    at: str
    who: str
    admitted: str
    refused: str
    told: str
    minute: str
    other: str


def section(tier: str) -> str:
    return PAGE.partition(f"\n## {tier}\n")[2].partition("\n## ")[0]


def rows_of(tier: str) -> list[Row]:
    _, *lines = re.findall(r"^\| (.*) \|$", section(tier), re.MULTILINE)
    return [Row(*line.split(" | ")) for line in lines]


def team_of(tier: str) -> TeamConfig:
    (text,) = re.findall(r"```toml\n(.*?)```", section(tier), re.DOTALL)
    return TeamConfig.model_validate({**REQUIRED, **tomllib.loads(text)["teams"]["search"]})


def own_limits() -> OwnLimits:
    """Those of the access key of the page."""
    minute, day = (re.search(rf"--requests-per-{window} (\d+)", PAGE) for window in ("minute", "day"))
    assert minute is not None
    assert day is not None
    return OwnLimits(KEY, int(minute[1]), int(day[1]))


class Example:
    """One process with the limits of an example, whose clock is set."""

    def __init__(self) -> None:
        self.at = MIDNIGHT
        self.admitted = 0
        self.waits: Counter[float] = Counter()
        self.limiter: Limiter

    def now_us(self) -> int:
        return (self.at - EPOCH) // timedelta(microseconds=1)

    async def happens(self, row: Row) -> Row:
        """The row as it comes out."""
        found = WHO.fullmatch(row.who)
        assert found is not None
        calls, inputs, own = int(found[1]), int(found[2] or 0), own_limits() if found[3] else None
        self.admitted, self.waits = 0, Counter()
        for at in times(row.at):
            self.at = at
            await asyncio.gather(*(self._call(inputs, own) for _ in range(calls)))
        stocks = self.limiter.stocks_of(TEAM)
        left = [told(stocks.stocks, number) for number in (0, 1)]
        if own is not None:
            left = [f"{team}, the key {told(stocks.of_key(own), number)}" for number, team in enumerate(left)]
        waits = ", ".join(f"{count} for {wait:.2f} s" for wait, count in sorted(self.waits.items()))
        return Row(row.at, row.who, str(self.admitted), str(self.waits.total()), waits or "–", *left)

    async def _call(self, inputs: int, own: OwnLimits | None) -> None:
        try:
            await self.limiter.admit(TEAM, inputs, own)
        except Refused as refused:
            self.waits[wait_s(refused)] += 1
        else:
            self.admitted += 1


def times(text: str) -> list[datetime]:
    """When a row's calls come: at one time, or at the beginning of each minute."""
    first, _, last = text.partition(" to ")
    begin = datetime.fromisoformat(f"2026-11-21T{first}+00:00")
    end = datetime.fromisoformat(f"2026-11-21T{last or first}+00:00")
    return [begin + timedelta(minutes=number) for number in range((end - begin) // timedelta(minutes=1) + 1)]


def told(stocks: list[Stock], number: int) -> str:
    return f"{stocks[number].remaining:,} of {stocks[number].most:,}"


def simulated(story: Coroutine[Any, Any, list[Row]]) -> list[Row]:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(story)


@pytest.mark.parametrize("tier", ["Free", "Pro", "Enterprise"])
def test_a_tiers_worked_example_comes_out_as_the_page_says(tier: str) -> None:
    async def story() -> list[Row]:
        example = Example()
        limits = limits_of(TEAM, team_of(tier))
        example.limiter = (await replica_on((await Scene.new()).database, limits, example.now_us)).limiter
        return [await example.happens(row) for row in rows_of(tier)]

    assert len(rows_of(tier)) >= 4
    assert simulated(story()) == rows_of(tier)


def test_the_tiers_are_those_of_the_config() -> None:
    rows = {tier: re.search(rf"^\| `{tier}`.*?\| (\S+) \| (\S+) \|$", PAGE, re.MULTILINE) for tier in TIERS}
    said = {tier: row.groups() for tier, row in rows.items() if row}

    assert said == {
        tier: tuple(
            f"{most[rate]:,}" if rate in most else "none" for rate in ("requests_per_minute", "requests_per_day")
        )
        for tier, most in TIERS.items()
    }
    assert f"used after {TIERS['pro']['requests_per_day'] // TIERS['pro']['requests_per_minute']} minutes" in PAGE

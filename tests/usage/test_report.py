"""Reports of what stands in the tables, on each database: the corners that histories seldom reach."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.books.period import Period, period_at
from service.books.usage import UNITS
from service.books.usage_report import Figures, UsageKey, UsageRow, Wanted, sum_up
from service.storage.database import Database, Transaction
from tests.usage.brute import Page, figured, page_of

HOUR_US, QUARTER_US = 3_600_000_000, 900_000_000
NOON_US = 1_795_176_000_000_000  # of 2026-11-20, UTC
DAY = period_at(ZoneInfo("UTC"), NOON_US)
DAY_BEFORE = period_at(ZoneInfo("UTC"), DAY.start_us - 1)
DAY_AFTER = period_at(ZoneInfo("UTC"), DAY.end_us)

_BUDGET = "INSERT INTO budget VALUES ($1, 0) ON CONFLICT (budget_id) DO NOTHING"
_PERIOD = "INSERT INTO budget_period VALUES ($1, $2, $3, 0, 0) ON CONFLICT (budget_id, period_start_us) DO NOTHING"
_COLUMNS = ", ".join(f"${number}" for number in range(1, 20))
_USAGE = {
    "usage_day": f"INSERT INTO usage_day VALUES ({_COLUMNS.removesuffix(', $19')})",
    "usage_quarter": f"INSERT INTO usage_quarter VALUES ({_COLUMNS})",
}
_HOLD = """
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome, state,
  price_version, at_us, endpoint, model, credential_id)
VALUES ($1, 1, $2, $3, $4, NULL, 0, $5, '1', $6, 'chat', 'command-x', 'key-1')"""


class Books:
    """Tables as the committer leaves them, filled by hand."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holds = 0

    async def report(
        self,
        window: Period,
        *by: Any,
        team: str | None = "search",
        rows_max: int = 100,
        after: int = 0,
    ) -> Page:
        wanted = Wanted(team, window, frozenset(by))
        found = await self._database.read(lambda tx: sum_up(tx, wanted, rows_max, after))
        return page_of(found, wanted, after)

    async def count(
        self,
        quarter_us: int,
        *,
        day: Period = DAY,
        team: str = "search",
        model: str = "command-x",
        reason: str = "",
        calls: int = 1,
        attempts: int = 0,
        cost_nanos: int = 0,
    ) -> None:
        """Counts what one record tells."""
        names = (day.start_us, day.end_us, "chat", model, "key-1", reason)
        measures = (calls, attempts, cost_nanos, *(0 for _ in UNITS))

        async def work(tx: Transaction) -> None:
            await self._know(tx, team, day)
            await tx.fetch(_USAGE["usage_day"], team, *names, *measures)
            await tx.fetch(_USAGE["usage_quarter"], team, quarter_us, *names, *measures)

        await self._database.transact(work)

    async def hold(self, at_us: int, state: str, *, day: Period = DAY, nanos: int = 7) -> None:
        """An attempt whose cost nobody knows."""
        self._holds += 1

        async def work(tx: Transaction) -> None:
            await self._know(tx, "search", day)
            await tx.fetch(_HOLD, f"call-{self._holds}", "search", day.start_us, nanos, state, at_us)

        await self._database.transact(work)

    async def _know(self, tx: Transaction, team: str, day: Period) -> None:
        await tx.fetch(_BUDGET, team)
        await tx.fetch(_PERIOD, team, day.start_us, day.end_us)


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


def told(found: Page) -> dict[tuple[Any, ...], Any]:
    """The rows, by what is not empty of their keys."""
    return {tuple(part for part in row.key if part): figured(row.figures) for row in found.rows}


async def test_without_usage_there_is_one_row_of_nothing(books: Books) -> None:
    found = await books.report(DAY)

    assert found == Page(Figures(), [UsageRow(UsageKey(), Figures())], has_more=False)


async def test_without_usage_no_dimension_has_a_row(books: Books) -> None:
    assert await books.report(DAY, "model", "day") == Page(Figures(), [], has_more=False)


async def test_the_window_ends_before_its_end(books: Books) -> None:
    await books.count(DAY.start_us, cost_nanos=3)

    assert told(await books.report(Period(NOON_US - 10 * 24 * HOUR_US, DAY.start_us), "model")) == {}
    found = await books.report(Period(DAY.start_us, DAY.start_us + QUARTER_US), "model")
    assert told(found) == {("command-x",): {"calls": 1, "cost_nanos": 3}}


async def test_a_report_of_all_teams_holds_the_refusals_of_nobody(books: Books) -> None:
    await books.count(NOON_US, team="ads")
    await books.count(NOON_US, team="", model="", reason="CREDENTIAL_REJECTED", calls=9)

    found = await books.report(DAY, "team", team=None)

    assert told(found) == {("ads",): {"calls": 1}, (): {"calls": 9, "failure CREDENTIAL_REJECTED": 9}}
    assert found.total.calls == 10


async def test_what_was_corrected_away_is_no_failure(books: Books) -> None:
    await books.count(NOON_US, reason="DEADLINE_EXCEEDED", calls=0)
    await books.count(NOON_US, reason="CANCELLED")

    assert (await books.report(DAY)).total.failures_by_reason == {"CANCELLED": 1}


async def test_failures_of_whole_days_and_of_cut_ones_are_told_together(books: Books) -> None:
    for day in (DAY_BEFORE, DAY, DAY_AFTER):
        await books.count(day.start_us, day=day, reason="CANCELLED", calls=2)
    await books.count(DAY.start_us, reason="COHERE_TIMED_OUT", calls=0)
    await books.count(DAY_AFTER.start_us, day=DAY_AFTER, reason="COHERE_TIMED_OUT", calls=0)

    found = await books.report(Period(DAY.start_us, DAY_AFTER.start_us + QUARTER_US), "model")

    assert told(found) == {("command-x",): {"calls": 4, "failure CANCELLED": 4}}
    assert found.total.failures_by_reason == {"CANCELLED": 4}


@pytest.mark.parametrize("state", ["open", "forfeited"])
async def test_an_attempt_counts_in_the_day_that_pays_for_it_however_clocks_differ(books: Books, state: str) -> None:
    await books.hold(DAY.start_us - 1, state, nanos=1)
    await books.hold(DAY.end_us, state, nanos=20)
    await books.hold(NOON_US, state, nanos=300)

    for window, nanos in (
        (DAY_BEFORE, 0), (DAY, 321), (DAY_AFTER, 0),
        (Period(DAY.start_us, DAY.start_us + QUARTER_US), 1), (Period(DAY.end_us - QUARTER_US, DAY.end_us), 20),
        (Period(NOON_US, NOON_US + QUARTER_US), 300), (Period(NOON_US + QUARTER_US, DAY.end_us - QUARTER_US), 0),
    ):  # fmt: skip
        total = figured((await books.report(window)).total)
        assert total.get(f"{state}_nanos", 0) == nanos
        assert len(total) == (2 if nanos else 0)

    found = await books.report(DAY, "hour")
    hours = (DAY.start_us, NOON_US, DAY.end_us - HOUR_US)
    assert sorted(told(found)) == [(start_us, start_us + HOUR_US) for start_us in hours]


async def test_the_last_hour_of_a_day_ends_with_it(books: Books) -> None:
    longer = Period(DAY.start_us, DAY.end_us + HOUR_US // 2)
    await books.count(DAY.end_us + QUARTER_US, day=longer)

    assert list(told(await books.report(longer, "hour"))) == [(DAY.end_us, DAY.end_us + HOUR_US // 2)]
    assert list(told(await books.report(longer, "day"))) == [(longer.start_us, longer.end_us)]


async def test_days_that_begin_together_and_end_apart_have_rows_of_their_own(books: Books) -> None:
    shorter = Period(DAY.start_us, NOON_US)
    await books.count(DAY.start_us, team="ads", day=shorter, reason="CANCELLED")
    await books.count(DAY.start_us, reason="CANCELLED", calls=3)

    found = await books.report(DAY, "day", team=None)

    assert told(found) == {
        (shorter.start_us, shorter.end_us): {"calls": 1, "failure CANCELLED": 1},
        (DAY.start_us, DAY.end_us): {"calls": 3, "failure CANCELLED": 3},
    }


async def test_the_same_hour_of_two_teams_is_one_row(books: Books) -> None:
    await books.count(NOON_US)
    elsewhere = period_at(ZoneInfo("Asia/Tokyo"), NOON_US)
    await books.count(NOON_US + QUARTER_US, team="ads", day=elsewhere)

    assert told(await books.report(DAY, "hour", team=None)) == {(NOON_US, NOON_US + HOUR_US): {"calls": 2}}


async def test_the_most_expensive_row_comes_first_whatever_the_page(books: Books) -> None:
    for cost_nanos, model in enumerate("edcba"):
        await books.count(NOON_US, model=model, cost_nanos=cost_nanos // 2, attempts=1)

    pages = [await books.report(DAY, "model", rows_max=2, after=after) for after in (0, 2, 4, 6)]

    assert [[row.key.model for row in page.rows] for page in pages] == [["a", "b"], ["c", "d"], ["e"], []]
    assert [page.has_more for page in pages] == [True, True, False, False]
    assert [figured(page.total) for page in pages] == [{"calls": 5, "attempts": 5, "cost_nanos": 4}] * 4

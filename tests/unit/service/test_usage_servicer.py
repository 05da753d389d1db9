"""GetUsage: what it tells, and to whom."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse, UsageDimension
from cohort.v1.usage_pb2 import Money
from service.books.forfeits import forfeit
from service.books.operations import Operator, freeze
from service.books.period import period_at
from service.identity.principal import Principal
from service.money import nanos_of
from service.servicers.usage import REPORTS_MAX, UsageAnswers
from tests.databases import Clock
from tests.e2e.requests import refused
from tests.unit.service.stand_ins import unlimited
from tests.unit.service.usage_service import (
    ADS_READER,
    CALLER,
    OPERATOR,
    READER,
    TOKYO,
    USD,
    UsageService,
    snapshot_here,
    window_of,
)
from tests.usage import entries
from tests.usage.entries import Names

CHAT, RERANK = Names("chat", "command-a-03-2025", "key-1"), Names("rerank", "rerank-v3.5", "key-2")
TEAM, HOUR = UsageDimension.Value("USAGE_DIMENSION_TEAM"), UsageDimension.Value("USAGE_DIMENSION_HOUR")
ALL_DIMENSIONS = [value for value in UsageDimension.values() if value not in {0, HOUR}]


async def test_an_empty_request_tells_of_the_own_team_today(usage_service: UsageService, clock: Clock) -> None:
    await usage_service.pay("search", CHAT, 1_500_000_001, input_tokens=40, output_tokens=2)
    await usage_service.pay("search", RERANK, 5, reason="COHERE_UNAVAILABLE", search_units=1)
    await usage_service.pay("ads", CHAT, 7)

    usage = await usage_service.get()

    (row,) = usage.rows
    assert row.figures == usage.total
    assert not row.HasField("start_time")
    assert (usage.total.calls, usage.total.attempts, usage.total.failures) == (2, 2, 1)
    assert usage.total.failures_by_reason == {"COHERE_UNAVAILABLE": 1}
    assert usage.total.cost == Money(currency_code="USD", units=1, nanos=500_000_006)
    units = usage.total.billed_units
    assert (units.input_tokens, units.output_tokens, units.search_units, units.images) == (40, 2, 1, 0)
    assert window_of(usage) == period_at(TOKYO, clock.now_us())


async def test_the_budget_is_told_as_it_stands(usage_service: UsageService) -> None:
    await usage_service.pay("search", CHAT, 4 * USD)
    await usage_service.admit("search", CHAT, USD)
    await usage_service.write([freeze("search", TOKYO, Operator("ops", ""), frozen=True)])

    usage = await usage_service.get()

    (budget,) = usage.budgets
    amounts = (budget.limit, budget.spent, budget.held, budget.available)
    assert [nanos_of(money) // USD for money in amounts] == [25, 4, 1, 20]
    assert (budget.team, budget.time_zone, budget.frozen) == ("search", "Asia/Tokyo", True)
    assert (budget.period_start, budget.resets_at) == (usage.start_time, usage.end_time)


async def test_what_nobody_knows_the_cost_of_stands_apart(usage_service: UsageService) -> None:
    await usage_service.admit("search", CHAT, 30)
    held, admitted = await usage_service.admit("search", CHAT, 2)
    await usage_service.write([entries.settlement(held, admitted, None, "forfeited", reason="COHERE_TIMED_OUT")])

    total = (await usage_service.get()).total

    assert (total.calls, total.attempts, nanos_of(total.cost)) == (1, 1, 0)
    unresolved = total.unresolved
    assert (unresolved.open, nanos_of(unresolved.open_hold)) == (1, 30)
    assert (unresolved.forfeited, nanos_of(unresolved.forfeited_hold)) == (1, 2)

    await usage_service.write([forfeit("search", 0)])

    unresolved = (await usage_service.get()).total.unresolved
    assert (unresolved.open, unresolved.forfeited, nanos_of(unresolved.forfeited_hold)) == (0, 2, 32)


async def test_terms_tell_models_prices_and_caps(usage_service: UsageService) -> None:
    terms = (await usage_service.get()).terms

    assert (terms.team, list(terms.endpoints), terms.max_tokens_per_call) == ("search", ["chat", "rerank"], 4096)
    assert not terms.HasField("max_input_tokens_per_call")
    assert nanos_of(terms.daily_budget) == 25 * USD
    assert terms.price_book_version
    prices = {
        model.model: (model.endpoint, [(price.unit, price.count, nanos_of(price.price)) for price in model.prices])
        for model in terms.models
    }
    assert list(prices) == ["command-a-03-2025", "own", "rerank-v3.5"]
    assert prices["command-a-03-2025"] == (
        "chat", [("input_tokens", 1_000_000, 2_500_000_000), ("output_tokens", 1_000_000, 10 * USD)],
    )  # fmt: skip
    assert prices["rerank-v3.5"] == ("rerank", [("search_units", 1_000, 2 * USD)])
    assert prices["own"] == ("", [])


async def test_a_cap_that_the_contract_cannot_hold_is_told_as_the_largest_it_can(usage_service: UsageService) -> None:
    assert (await usage_service.get(ADS_READER)).terms.max_input_tokens_per_call == 2**31 - 1


async def test_dimensions_make_rows_and_the_most_expensive_comes_first(usage_service: UsageService) -> None:
    await usage_service.pay("search", RERANK, 5)
    await usage_service.pay("search", CHAT, 9)

    usage = await usage_service.get(group_by=ALL_DIMENSIONS)

    assert [(row.team, row.endpoint, row.model, row.access_key_id) for row in usage.rows] == [
        ("search", *CHAT), ("search", *RERANK),
    ]  # fmt: skip
    assert {(str(row.start_time), str(row.end_time)) for row in usage.rows} == {
        (str(usage.start_time), str(usage.end_time))
    }
    (hour,) = (await usage_service.get(group_by=[HOUR])).rows
    assert hour.end_time.seconds - hour.start_time.seconds == 3600
    assert nanos_of(hour.figures.cost) == 14


async def test_operators_see_every_team_and_callers_their_own(usage_service: UsageService) -> None:
    await usage_service.pay("search", CHAT, 5)
    await usage_service.pay("ads", CHAT, 9)

    usage = await usage_service.get(OPERATOR, all_teams=True, group_by=[TEAM])
    assert [(row.team, nanos_of(row.figures.cost)) for row in usage.rows] == [("ads", 9), ("search", 5)]
    assert [budget.team for budget in usage.budgets] == ["ads", "search"]
    assert usage.terms.team == "search"
    assert nanos_of((await usage_service.get(OPERATOR, team="ads")).total.cost) == 9
    assert nanos_of((await usage_service.get(READER, team="search")).total.cost) == 5
    assert nanos_of((await usage_service.get(ADS_READER)).total.cost) == 9


@pytest.mark.parametrize("fields", [{"team": "ads"}, {"team": "nobody"}, {"all_teams": True}])
async def test_other_teams_need_the_scope_admin(usage_service: UsageService, fields: dict[str, Any]) -> None:
    refusal = await refused(usage_service.get(READER, **fields))

    assert (refusal.reason, refusal.code) == ("SCOPE_MISSING", grpc.StatusCode.PERMISSION_DENIED)
    assert refusal.info.metadata["scope"] == "admin"
    assert (await refused(usage_service.get(CALLER))).info.metadata["scope"] == "usage:read"


async def test_a_team_that_the_config_does_not_have_is_unknown(usage_service: UsageService) -> None:
    refusal = await refused(usage_service.get(OPERATOR, team="nobody"))

    assert (refusal.reason, refusal.code) == ("TEAM_UNKNOWN", grpc.StatusCode.NOT_FOUND)


async def test_books_that_cannot_be_read_are_told_as_such(usage_service: UsageService) -> None:
    await usage_service.database.close()

    refusal = await refused(usage_service.get())

    assert (refusal.reason, refusal.code) == ("BOOKS_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)


async def test_who_gives_up_while_reports_wait_is_not_reported_to() -> None:
    begun: list[asyncio.Future[Any]] = []

    class SlowBooks:
        async def read(self, _: Any) -> Any:
            begun.append(asyncio.get_running_loop().create_future())
            return await begun[-1]

    books: Any = SlowBooks()
    answers = UsageAnswers(books, unlimited(books))
    call: Any = SimpleNamespace(
        rpc="GetUsage", caller=Principal("search", "", frozenset(), "access_key", ""), snapshot=snapshot_here()
    )
    waiting: list[asyncio.Task[GetUsageResponse]] = [
        asyncio.create_task(answers.answer(call, GetUsageRequest())) for _ in range(REPORTS_MAX + 2)
    ]
    await asyncio.sleep(0)
    assert len(begun) == REPORTS_MAX

    waiting[REPORTS_MAX].cancel()
    begun[0].cancel()
    await asyncio.wait(waiting[:1])
    await asyncio.sleep(0)

    assert len(begun) == REPORTS_MAX + 1
    assert waiting[REPORTS_MAX].cancelled()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

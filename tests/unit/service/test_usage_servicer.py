"""GetUsage: what it tells, to whom, and page by page."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse, UsageDimension
from cohort.v1.usage_pb2 import Money
from service.books.forfeits import forfeit
from service.books.operations import Operator, freeze
from service.books.period import Period, period_at
from service.identity.principal import Principal
from service.money import nanos_of
from service.servicers.asking import page_token_of
from service.servicers.usage import REPORTS_MAX, ROWS_IN_PLACE_MAX, UsageAnswers, _fingerprint
from service.storage.database import Database
from tests.databases import Clock
from tests.e2e.requests import refused
from tests.unit.service.usage_service import (
    ADS_READER,
    CALLER,
    OPERATOR,
    READER,
    TOKYO,
    USD,
    UTC,
    UsageService,
    snapshot_with,
)
from tests.usage import entries
from tests.usage.entries import Names

CHAT, RERANK = Names("chat", "command-a-03-2025", "key-1"), Names("rerank", "rerank-v3.5", "key-2")
TEAM, MODEL, HOUR, DAY = (UsageDimension.Value(f"USAGE_DIMENSION_{name}") for name in ("TEAM", "MODEL", "HOUR", "DAY"))
ALL_DIMENSIONS = [value for value in UsageDimension.values() if value not in {0, HOUR}]
QUARTER_US, HOUR_US, DAY_US = 900_000_000, 3_600_000_000, 86_400_000_000


@pytest.fixture
async def service(sqlite_database: Database, clock: Clock) -> AsyncIterator[UsageService]:
    """At noon in Tokyo: no test has the day turn under it."""
    now_us = clock.now_us()
    await clock.shift(period_at(TOKYO, now_us).start_us + 12 * HOUR_US - now_us)
    running = UsageService(sqlite_database)
    await running.start()
    yield running
    await running.stop()


def window_of(usage: GetUsageResponse) -> Period:
    return Period(usage.start_time.ToMicroseconds(), usage.end_time.ToMicroseconds())


def quarter_of(now_us: int) -> Any:
    window = GetUsageRequest()
    window.start_time.FromMicroseconds(now_us - now_us % QUARTER_US)
    return window.start_time


async def test_an_empty_request_tells_of_the_own_team_today(service: UsageService, clock: Clock) -> None:
    await service.pay("search", CHAT, 1_500_000_001, input_tokens=40, output_tokens=2)
    await service.pay("search", RERANK, 5, reason="COHERE_UNAVAILABLE", search_units=1)
    await service.pay("ads", CHAT, 7)

    usage = await service.get()

    (row,) = usage.rows
    assert row.figures == usage.total
    assert not row.HasField("start_time")
    assert (usage.total.calls, usage.total.attempts, usage.total.failures) == (2, 2, 1)
    assert usage.total.failures_by_reason == {"COHERE_UNAVAILABLE": 1}
    assert usage.total.cost == Money(currency_code="USD", units=1, nanos=500_000_006)
    units = usage.total.billed_units
    assert (units.input_tokens, units.output_tokens, units.search_units, units.images) == (40, 2, 1, 0)
    assert window_of(usage) == period_at(TOKYO, clock.now_us())


async def test_the_budget_is_told_as_it_stands(service: UsageService) -> None:
    await service.pay("search", CHAT, 4 * USD)
    await service.admit("search", CHAT, USD)
    await service.write([freeze("search", TOKYO, Operator("ops", ""), frozen=True)])

    usage = await service.get()

    (budget,) = usage.budgets
    amounts = (budget.limit, budget.spent, budget.held, budget.available)
    assert [nanos_of(money) // USD for money in amounts] == [25, 4, 1, 20]
    assert (budget.team, budget.time_zone, budget.frozen) == ("search", "Asia/Tokyo", True)
    assert (budget.period_start, budget.resets_at) == (usage.start_time, usage.end_time)


async def test_what_nobody_knows_the_cost_of_stands_apart(service: UsageService) -> None:
    await service.admit("search", CHAT, 30)
    held, admitted = await service.admit("search", CHAT, 2)
    await service.write([entries.settlement(held, admitted, None, "forfeited", reason="COHERE_TIMED_OUT")])

    total = (await service.get()).total

    assert (total.calls, total.attempts, nanos_of(total.cost)) == (1, 1, 0)
    unresolved = total.unresolved
    assert (unresolved.open, nanos_of(unresolved.open_hold)) == (1, 30)
    assert (unresolved.forfeited, nanos_of(unresolved.forfeited_hold)) == (1, 2)

    await service.write([forfeit("search", 0)])

    unresolved = (await service.get()).total.unresolved
    assert (unresolved.open, unresolved.forfeited, nanos_of(unresolved.forfeited_hold)) == (0, 2, 32)


async def test_terms_tell_models_prices_and_caps(service: UsageService) -> None:
    terms = (await service.get()).terms

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


async def test_a_cap_that_the_contract_cannot_hold_is_told_as_the_largest_it_can(service: UsageService) -> None:
    assert (await service.get(ADS_READER)).terms.max_input_tokens_per_call == 2**31 - 1


async def test_dimensions_make_rows_and_the_most_expensive_comes_first(service: UsageService) -> None:
    await service.pay("search", RERANK, 5)
    await service.pay("search", CHAT, 9)

    usage = await service.get(group_by=ALL_DIMENSIONS)

    assert [(row.team, row.endpoint, row.model, row.access_key_id) for row in usage.rows] == [
        ("search", *CHAT), ("search", *RERANK),
    ]  # fmt: skip
    assert {(str(row.start_time), str(row.end_time)) for row in usage.rows} == {
        (str(usage.start_time), str(usage.end_time))
    }
    (hour,) = (await service.get(group_by=[HOUR])).rows
    assert hour.end_time.seconds - hour.start_time.seconds == 3600
    assert nanos_of(hour.figures.cost) == 14


async def test_operators_see_every_team_and_callers_their_own(service: UsageService) -> None:
    await service.pay("search", CHAT, 5)
    await service.pay("ads", CHAT, 9)

    usage = await service.get(OPERATOR, all_teams=True, group_by=[TEAM])
    assert [(row.team, nanos_of(row.figures.cost)) for row in usage.rows] == [("ads", 9), ("search", 5)]
    assert [budget.team for budget in usage.budgets] == ["ads", "search"]
    assert usage.terms.team == "search"
    assert nanos_of((await service.get(OPERATOR, team="ads")).total.cost) == 9
    assert nanos_of((await service.get(READER, team="search")).total.cost) == 5
    assert nanos_of((await service.get(ADS_READER)).total.cost) == 9


@pytest.mark.parametrize("fields", [{"team": "ads"}, {"team": "nobody"}, {"all_teams": True}])
async def test_other_teams_need_the_scope_admin(service: UsageService, fields: dict[str, Any]) -> None:
    refusal = await refused(service.get(READER, **fields))

    assert (refusal.reason, refusal.code) == ("SCOPE_MISSING", grpc.StatusCode.PERMISSION_DENIED)
    assert refusal.info.metadata["scope"] == "admin"
    assert (await refused(service.get(CALLER))).info.metadata["scope"] == "usage:read"


async def test_a_team_that_the_config_does_not_have_is_unknown(service: UsageService) -> None:
    refusal = await refused(service.get(OPERATOR, team="nobody"))

    assert (refusal.reason, refusal.code) == ("TEAM_UNKNOWN", grpc.StatusCode.NOT_FOUND)


async def test_by_default_the_window_is_the_day_of_the_team_asked_about(service: UsageService, clock: Clock) -> None:
    assert window_of(await service.get(OPERATOR, team="ads")) == period_at(UTC, clock.now_us())
    assert window_of(await service.get(OPERATOR, all_teams=True)) == period_at(TOKYO, clock.now_us())


async def test_one_bound_is_enough(service: UsageService) -> None:
    await service.pay("search", CHAT, 5)
    begins = quarter_of(await service.database.now_us())

    assert (await service.get(start_time=begins)).total.calls == 1
    assert (await service.get(end_time=begins)).total.calls == 0


@pytest.mark.parametrize("by_hour", [True, False])
async def test_a_window_too_long_is_refused_with_a_default_bound_as_well(
    service: UsageService, clock: Clock, *, by_hour: bool
) -> None:
    begins = quarter_of(clock.now_us() - (33 if by_hour else 3_700) * DAY_US)
    for ends in ({}, {"end_time": quarter_of(clock.now_us())}):
        refusal = await refused(service.get(start_time=begins, group_by=[HOUR if by_hour else DAY], **ends))
        assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"end_time"})


async def test_a_window_that_begins_after_today_needs_an_end(service: UsageService, clock: Clock) -> None:
    begins = quarter_of(clock.now_us() + 3 * DAY_US)

    refusal = await refused(service.get(start_time=begins))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"end_time"})


async def test_pages_hold_every_row_once_and_the_same_total(service: UsageService) -> None:
    for number in range(5):
        await service.pay("search", CHAT._replace(model=f"model-{number}"), 10 * number)

    pages = await service.pages(group_by=[MODEL], page_size=2)

    assert [[row.model for row in page.rows] for page in pages] == [
        ["model-4", "model-3"], ["model-2", "model-1"], ["model-0"],
    ]  # fmt: skip
    assert {nanos_of(page.total.cost) for page in pages} == {100}


async def test_the_next_page_is_of_the_same_day(service: UsageService, clock: Clock) -> None:
    await service.pay("search", CHAT, 1)
    await service.pay("search", RERANK, 2)
    first = await service.get(group_by=[MODEL], page_size=1)
    await clock.shift(DAY_US)

    second = await service.get(group_by=[MODEL], page_token=first.next_page_token)

    assert [row.model for row in (*first.rows, *second.rows)] == [RERANK.model, CHAT.model]
    assert (first.start_time, first.end_time) == (second.start_time, second.end_time)
    assert (await service.get(group_by=[MODEL])).total.calls == 0


async def test_a_page_token_of_another_request_is_refused(service: UsageService) -> None:
    await service.pay("search", CHAT, 1)
    await service.pay("search", RERANK, 2)
    token = (await service.get(group_by=[MODEL], page_size=1)).next_page_token

    for fields in ({"group_by": [DAY]}, {}, {"group_by": [MODEL], "team": "search"}):
        refusal = await refused(service.get(**fields, page_token=token))
        assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"page_token"})


async def test_a_page_token_of_no_window_is_refused(service: UsageService) -> None:
    token = page_token_of((1, 2**62, 2**63 - 1, _fingerprint(GetUsageRequest())))

    assert (await refused(service.get(page_token=token))).reason == "REQUEST_INVALID"


async def test_an_answer_of_many_rows_is_as_one_of_few(service: UsageService) -> None:
    counts = {f"REASON_{number % 7}": 1 for number in range(3)}
    names = [Names("chat", f"model-{number:04}", "key") for number in range(ROWS_IN_PLACE_MAX + 1)]
    await service.write([entries.note("search", each, counts, zone=TOKYO) for each in names])

    whole = await service.get(group_by=[MODEL])
    parts = await service.pages(group_by=[MODEL], page_size=ROWS_IN_PLACE_MAX // 2)

    assert [row for page in parts for row in page.rows] == list(whole.rows)
    assert len(whole.rows) == ROWS_IN_PLACE_MAX + 1
    assert not whole.next_page_token


async def test_books_that_cannot_be_read_are_told_as_such(service: UsageService) -> None:
    await service.database.close()

    refusal = await refused(service.get())

    assert (refusal.reason, refusal.code) == ("BOOKS_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)


async def test_who_gives_up_while_reports_wait_is_not_reported_to() -> None:
    begun: list[asyncio.Future[Any]] = []

    class SlowBooks:
        async def read(self, _: Any) -> Any:
            begun.append(asyncio.get_running_loop().create_future())
            return await begun[-1]

    books: Any = SlowBooks()
    answers = UsageAnswers(books)
    call: Any = SimpleNamespace(
        rpc="GetUsage", caller=Principal("search", "", frozenset(), "", ""), snapshot=snapshot_with()
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

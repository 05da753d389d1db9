"""GetUsage: which window it tells of, and page by page."""

from typing import Any

import pytest

from cohort.v1.get_usage_pb2 import GetUsageRequest, UsageDimension
from service.books.period import period_at
from service.money import nanos_of
from service.servicers.asking import page_token_of
from service.servicers.usage import ROWS_IN_PLACE_MAX, _fingerprint
from tests.databases import Clock
from tests.e2e.requests import refused
from tests.unit.service.usage_service import OPERATOR, TOKYO, UTC, UsageService, window_of
from tests.usage import entries
from tests.usage.entries import Names

CHAT, RERANK = Names("chat", "command-a-03-2025", "key-1"), Names("rerank", "rerank-v3.5", "key-2")
MODEL, HOUR, DAY = (UsageDimension.Value(f"USAGE_DIMENSION_{name}") for name in ("MODEL", "HOUR", "DAY"))
QUARTER_US, DAY_US = 900_000_000, 86_400_000_000


def quarter_of(now_us: int) -> Any:
    window = GetUsageRequest()
    window.start_time.FromMicroseconds(now_us - now_us % QUARTER_US)
    return window.start_time


async def test_by_default_the_window_is_today_of_the_team_asked_about(
    usage_service: UsageService, clock: Clock
) -> None:
    assert window_of(await usage_service.get(OPERATOR, team="ads")) == period_at(UTC, clock.now_us())
    assert window_of(await usage_service.get(OPERATOR, all_teams=True)) == period_at(TOKYO, clock.now_us())


async def test_one_bound_is_enough(usage_service: UsageService) -> None:
    await usage_service.pay("search", CHAT, 5)
    begins = quarter_of(await usage_service.database.now_us())

    assert (await usage_service.get(start_time=begins)).total.calls == 1
    assert (await usage_service.get(end_time=begins)).total.calls == 0


@pytest.mark.parametrize("by_hour", [True, False])
async def test_a_window_too_long_is_refused_with_a_default_bound_as_well(
    usage_service: UsageService, clock: Clock, *, by_hour: bool
) -> None:
    begins = quarter_of(clock.now_us() - (33 if by_hour else 3_700) * DAY_US)
    for ends in ({}, {"end_time": quarter_of(clock.now_us())}):
        refusal = await refused(usage_service.get(start_time=begins, group_by=[HOUR if by_hour else DAY], **ends))
        assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"end_time"})


async def test_a_window_that_begins_after_today_needs_an_end(usage_service: UsageService, clock: Clock) -> None:
    begins = quarter_of(clock.now_us() + 3 * DAY_US)

    refusal = await refused(usage_service.get(start_time=begins))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"end_time"})


async def test_pages_hold_every_row_once_and_the_same_total(usage_service: UsageService) -> None:
    for number in range(5):
        await usage_service.pay("search", CHAT._replace(model=f"model-{number}"), 10 * number)

    pages = await usage_service.pages(group_by=[MODEL], page_size=2)

    assert [[row.model for row in page.rows] for page in pages] == [
        ["model-4", "model-3"], ["model-2", "model-1"], ["model-0"],
    ]  # fmt: skip
    assert {nanos_of(page.total.cost) for page in pages} == {100}


async def test_the_next_page_is_of_the_same_day(usage_service: UsageService, clock: Clock) -> None:
    await usage_service.pay("search", CHAT, 1)
    await usage_service.pay("search", RERANK, 2)
    first = await usage_service.get(group_by=[MODEL], page_size=1)
    await clock.shift(DAY_US)

    second = await usage_service.get(group_by=[MODEL], page_token=first.next_page_token)

    assert [row.model for row in (*first.rows, *second.rows)] == [RERANK.model, CHAT.model]
    assert (first.start_time, first.end_time) == (second.start_time, second.end_time)
    assert (await usage_service.get(group_by=[MODEL])).total.calls == 0


async def test_a_page_token_of_another_request_is_refused(usage_service: UsageService) -> None:
    await usage_service.pay("search", CHAT, 1)
    await usage_service.pay("search", RERANK, 2)
    token = (await usage_service.get(group_by=[MODEL], page_size=1)).next_page_token

    for fields in ({"group_by": [DAY]}, {}, {"group_by": [MODEL], "team": "search"}):
        refusal = await refused(usage_service.get(**fields, page_token=token))
        assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"page_token"})


async def test_a_page_token_of_no_window_is_refused(usage_service: UsageService) -> None:
    token = page_token_of((1, 2**62, 2**63 - 1, _fingerprint(GetUsageRequest())))

    assert (await refused(usage_service.get(page_token=token))).reason == "REQUEST_INVALID"


async def test_an_answer_of_many_rows_is_as_one_of_few(usage_service: UsageService) -> None:
    counts = {f"REASON_{number % 7}": 1 for number in range(3)}
    names = [Names("chat", f"model-{number:04}", "key") for number in range(ROWS_IN_PLACE_MAX + 1)]
    await usage_service.write([entries.note("search", each, counts, zone=TOKYO) for each in names])

    whole = await usage_service.get(group_by=[MODEL])
    parts = await usage_service.pages(group_by=[MODEL], page_size=ROWS_IN_PLACE_MAX // 2)

    assert [row for page in parts for row in page.rows] == list(whole.rows)
    assert len(whole.rows) == ROWS_IN_PLACE_MAX + 1
    assert not whole.next_page_token

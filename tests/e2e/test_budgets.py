"""What fits a budget is exactly what is served, however many ask at once, and of however many replicas."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import grpc.aio
import orjson
import pytest
from google.rpc import error_details_pb2

from clients.codec import chat as codec
from clients.sandbox import chat as sandbox_chat
from clients.sandbox import prices, wire
from cohort.v1.budget_pb2 import Budget
from cohort.v1.chat_pb2 import ChatRequest, ChatResponse
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.usage_pb2 import BilledUnits
from service import book_refusals
from service.money import nanos_of, usd_of
from service.pricing import book as price_book
from service.pricing.book import PriceBook
from service.pricing.cost import cost_nanos
from service.pricing.worst_case import worst_case_nanos
from tests.books_facts import facts_of
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import CHAT_MODEL, Refusal, chat, refusal_of, until

CALLERS = 200
OUTPUT_ALONE = f"""\
version = "output"
[models."{CHAT_MODEL}"]
usd_per_million_input_tokens = 0
usd_per_million_output_tokens = 10.00
"""
"""Prices by which an answer that reaches `max_tokens` costs exactly what was held for it."""

Serving: TypeAlias = Callable[..., "contextlib.AbstractAsyncContextManager[list[Cohort]]"]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.prove), "postgres, three replicas"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Serving:
    """Starts the replicas of one service: one database, one Cohere."""
    engine, _, replicas = request.param.partition(", ")
    database = "sqlite:cohort.db" if engine == "sqlite" else request.getfixturevalue("postgres_url")

    @contextlib.asynccontextmanager
    async def serve(**terms: Any) -> AsyncIterator[list[Cohort]]:
        async with contextlib.AsyncExitStack() as stack:
            services: list[Cohort] = []
            for number in range(3 if replicas else 1):
                folder = tmp_path / str(number)
                folder.mkdir()
                base_url = services[0].sandbox_url if services else None
                one = cohort(folder, database=database, base_url=base_url, **terms)
                services.append(await stack.enter_async_context(one))
            yield services

    return serve


def hold_and_cost(book: PriceBook, request: ChatRequest) -> tuple[int, int]:
    """What a call holds, and what the sandbox's answer to it costs, in nanos."""
    price = book.price_of(request.model)
    assert price is not None
    answer = sandbox_chat.answer(orjson.loads(codec.encode(request, stream=False)), "")
    cost = cost_nanos(price, BilledUnits(**{unit: float(count) for unit, count in answer.billed_units.items()}))
    assert cost is not None
    return worst_case_nanos(price, request), cost


async def answer_or_refusal(service: Cohort, request: ChatRequest) -> ChatResponse | Refusal:
    try:
        response: ChatResponse = await service.stub.Chat(request, metadata=service.credentials)
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    return response


def nanos_of_usd_text(text: str) -> int:
    dollars, _, decimals = text.partition(".")
    return int(dollars) * 1_000_000_000 + int(decimals.ljust(9, "0"))


def require_budget_named(refusal: Refusal, *, limit: int, hold: int, gone: int) -> None:
    """The details of a budget that is short: its name, the numbers, when to come back."""
    metadata = dict(refusal.info.metadata)
    spent, held = (nanos_of_usd_text(metadata[f"{name}_usd"]) for name in ("spent", "held"))

    assert spent + held == gone
    assert metadata["budget"] == "demo"
    assert metadata["limit_usd"] == usd_of(limit)
    assert metadata["hold_usd"] == usd_of(hold)
    assert metadata["available_usd"] == usd_of(limit - gone)
    assert refusal.reason == ("BUDGET_IN_FLIGHT" if spent + hold <= limit else "BUDGET_SPENT")
    assert [violation.subject for violation in quota(refusal)] == ["team:demo"]
    assert refusal.retry_s is not None
    if refusal.reason == "BUDGET_IN_FLIGHT":
        assert refusal.retry_s == book_refusals._IN_FLIGHT_WAIT_S
    else:
        assert 0 < refusal.retry_s <= 24 * 3600


def quota(refusal: Refusal) -> list[error_details_pb2.QuotaFailure.Violation]:
    return [violation for failure in refusal.of(error_details_pb2.QuotaFailure) for violation in failure.violations]


async def budget_of(service: Cohort) -> Budget:
    metadata = (("x-api-key", service.access_keys["narrow"]),)
    (budget,) = (await service.stub.GetUsage(GetUsageRequest(), metadata=metadata)).budgets
    return budget


async def require_agreement(services: list[Cohort], answers: list[ChatResponse], *, limit: int) -> None:
    """Receipts, the ledger, GetUsage of every replica and Cohere's own bill say the same to the nano-USD."""
    receipts = [nanos_of(answer.receipt.cost) for answer in answers]
    spent = sum(receipts)
    facts = await facts_of(services[0].service.kept.database)

    assert facts.problems() == []
    assert {hold.call_id: hold.charge_nanos for hold in facts.holds} == dict(
        zip((answer.receipt.call_id for answer in answers), receipts, strict=True)
    )
    assert sum(facts.committed.values()) == spent == services[0].sandbox.state.bill.cost_nanos("sandbox-production")
    assert limit - spent in {nanos_of(answer.receipt.budget_remaining) for answer in answers}
    for service in services:
        budget = await budget_of(service)
        figures = [nanos_of(each) for each in (budget.limit, budget.spent, budget.held, budget.available)]
        assert figures == [limit, spent, 0, limit - spent]


async def test_of_two_hundred_chats_at_once_exactly_those_that_fit_are_served(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting, request = 137, chat("Count to 200", max_tokens=7)
    hold = 7 * 10_000
    limit = fitting * hold + hold - 1
    monkeypatch.setitem(prices.PRICES, CHAT_MODEL, {"input_tokens": 0, "output_tokens": 10_000_000})
    async with serving(budget_usd=usd_of(limit), prices=OUTPUT_ALONE) as services:
        book = services[0].service.reloader.snapshot.price_book
        assert hold_and_cost(book, request) == (hold, hold)
        ends = await asyncio.gather(
            *(answer_or_refusal(services[number % len(services)], request) for number in range(CALLERS))
        )
        answers = [end for end in ends if isinstance(end, ChatResponse)]
        refusals = [end for end in ends if isinstance(end, Refusal)]

        print(f"served {len(answers)} of {CALLERS}, {fitting} fit")
        assert len(answers) == fitting
        for refusal in refusals:
            require_budget_named(refusal, limit=limit, hold=hold, gone=fitting * hold)
        await require_agreement(services, answers, limit=limit)


async def test_what_settles_makes_room_until_less_than_one_hold_is_left(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, send = asyncio.Event(), wire.send
    in_flight: list[Refusal] = []

    async def send_later(*arguments: object) -> object:
        await opened.wait()
        return await send(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(book_refusals, "_IN_FLIGHT_WAIT_S", 0.2)
    fitting_at_once, request = 40, chat("Which rivers cross Toronto?", max_tokens=100)
    hold, cost = hold_and_cost(price_book.load(), request)
    limit = fitting_at_once * hold + hold // 2
    async with serving(budget_usd=usd_of(limit)) as services:
        monkeypatch.setattr(wire, "send", send_later)

        async def until_spent(service: Cohort) -> ChatResponse | Refusal:
            while isinstance(end := await answer_or_refusal(service, request), Refusal):
                if end.reason != "BUDGET_IN_FLIGHT":
                    break
                in_flight.append(end)
                await asyncio.sleep(end.retry_s or 0)
            return end

        callers = [asyncio.ensure_future(until_spent(services[n % len(services)])) for n in range(CALLERS)]
        await until(lambda: len(in_flight) >= CALLERS - fitting_at_once)
        opened.set()
        ends = await asyncio.gather(*callers)
        answers = [end for end in ends if isinstance(end, ChatResponse)]
        served = (limit - hold) // cost + 1

        print(f"served {len(answers)} of {CALLERS}, {fitting_at_once} at once, {served} in turn")
        assert fitting_at_once < served < CALLERS
        assert len(answers) == served
        for refusal in in_flight[: CALLERS - fitting_at_once]:
            require_budget_named(refusal, limit=limit, hold=hold, gone=fitting_at_once * hold)
        assert {end.reason for end in ends if isinstance(end, Refusal)} == {"BUDGET_SPENT"}
        assert limit - served * cost < hold
        await require_agreement(services, answers, limit=limit)

"""The day in numbers of docs/budgets.md happens as the page says, to the billionth of a dollar."""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from cohort.v1.budget_pb2 import AdjustBudgetRequest
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from service.cli.amounts import dollars
from service.money import money_of, nanos_of, usd_of
from service.pricing import book
from service.pricing.input_bound import chat_tokens_max
from service.pricing.moves import check_moves
from service.pricing.worst_case import worst_case_nanos
from tests.e2e.cohort_service import CAP, Cohort, cohort
from tests.e2e.requests import CHAT_MODEL, refused

PAGE = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text(encoding="utf-8")
QUESTION = "Why is the sea salty?"
AT_ONCE = 9
LATENCY_MS = 2000


class Standing(NamedTuple):
    """A budget, in dollars as the page writes them."""

    spent: str
    held: str
    available: str


def question(text: str = QUESTION) -> ChatRequest:
    return ChatRequest(model=CHAT_MODEL, messages=[ChatMessage(role="user", text=text)], max_tokens=CAP)


def hold_nanos(text: str = QUESTION) -> int:
    price = book.load().price_of(CHAT_MODEL)
    assert price is not None
    return worst_case_nanos(price, question(text))


def told() -> list[Standing]:
    """The rows of the page's table."""
    amount = r" (\$[0-9.]+) "
    section = PAGE.partition("## A day in numbers")[2].partition("\n## ")[0]
    return [Standing(*row) for row in re.findall(rf"^\|.*\|{amount}\|{amount}\|{amount}\|$", section, re.MULTILINE)]


class Day:
    """A service whose team lives through the page's day."""

    def __init__(self, service: Cohort) -> None:
        self._service = service
        self.rows: list[Standing] = []

    async def note(self) -> None:
        self.rows.append(await self.standing())

    async def standing(self) -> Standing:
        usage = await self._service.stub.GetUsage(GetUsageRequest(), metadata=self._service.key("narrow"))
        (budget,) = usage.budgets
        return Standing(dollars(budget.spent), dollars(budget.held), dollars(budget.available))

    async def held(self, attempts: int) -> None:
        """Waits until so many attempts hold something."""
        while (await self.standing()).held != f"${usd_of(attempts * hold_nanos())}":
            await asyncio.sleep(0.01)

    async def asked(self, text: str = QUESTION) -> int:
        """What a question costs, in nano-USD."""
        answer = await self._service.stub.Chat(question(text), metadata=self._service.credentials)
        return nanos_of(answer.receipt.cost)

    async def refused(self, text: str = QUESTION) -> str:
        refusal = await refused(self._service.stub.Chat(question(text), metadata=self._service.credentials))
        assert refusal.info.metadata["hold_usd"] == usd_of(hold_nanos(text))
        return refusal.reason


@pytest.mark.slow
async def test_the_day_of_the_page_happens(tmp_path: Path) -> None:
    async with cohort(tmp_path, budget_usd="0.05") as service:
        day = Day(service)
        await day.note()
        service.fault(latency_ms=LATENCY_MS)
        first = asyncio.ensure_future(day.asked())
        await day.held(1)
        await day.note()
        cost_nanos = await first
        await day.note()

        service.fault(latency_ms=LATENCY_MS, times=AT_ONCE - 1)
        service.fault(latency_ms=LATENCY_MS, disconnect=True)
        nine = [asyncio.ensure_future(day.asked()) for _ in range(AT_ONCE)]
        await day.held(AT_ONCE)
        await day.note()
        reasons = [await day.refused()]
        await day.note()
        costs = await asyncio.gather(*nine, return_exceptions=True)
        await day.note()
        for size in (16_000, 25_000):
            reasons.append(await day.refused("x" * size))
            await day.note()
        await service.admin.AdjustBudget(
            AdjustBudgetRequest(
                team="demo", amount=money_of(cost_nanos - hold_nanos()), note="invoice", request_id="invoice"
            ),
            metadata=service.key("admin"),
        )
        await day.note()

    assert day.rows == told()[:-1]
    assert told()[-1] == told()[0]
    assert reasons == ["BUDGET_IN_FLIGHT", "BUDGET_SPENT", "HOLD_EXCEEDS_LIMIT"]
    assert costs.count(cost_nanos) == AT_ONCE - 1
    assert [str(amount) in PAGE for amount in map(usd_of, (hold_nanos(), cost_nanos, hold_nanos() - cost_nanos))]


def test_the_prices_on_the_page_are_a_price_file_and_confirm_their_moves(tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[models." in block]
    (tmp_path / "prices.toml").write_text("".join(blocks))
    prices = book.load(tmp_path / "prices.toml")

    assert len(blocks) == 2
    assert prices.price_of("command-a-reasoning-08-2025") is not None
    assert prices.price_of("command-a-03-2025") != book.load().price_of("command-a-03-2025")
    assert check_moves(book.load(), prices) == []


def test_the_page_computes_its_hold_and_its_cost_as_the_code_does() -> None:
    input_tokens = chat_tokens_max(question())

    assert f"and {input_tokens} input tokens, for text" in PAGE
    assert f"and {input_tokens - len(QUESTION)} are added" in PAGE
    assert f"= **${usd_of(hold_nanos())}**, the hold" in PAGE
    assert f"which can cost ${usd_of(hold_nanos('x' * 16_000))}" in PAGE
    assert f"which can cost ${usd_of(hold_nanos('x' * 25_000))}" in PAGE
    assert f"= **${usd_of(6 * 2_500 + 38 * 10_000)}**, the cost" in PAGE

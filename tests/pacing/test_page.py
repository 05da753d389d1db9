"""docs/pacing.md holds what it says: Cohere's limits as the code has them, and the worked example."""

import asyncio
import re
from pathlib import Path

import pytest

from clients.pacing.allowance import CHAT_ON_REQUEST_PER_MINUTE, ON_REQUEST, TRIAL, Allowance
from tests.pacing.memory_row import MemoryRow
from tests.pacing.simulated import Replica, embed, simulated

PAGE = (Path(__file__).parents[2] / "docs" / "pacing.md").read_text()
INPUTS = 2000


def numbers(first_cell: str) -> list[int]:
    """Those of the other cells of the page's row that begins so; 0 seconds for a silence."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {first_cell}"))
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", row.removeprefix(f"| {first_cell}"))]


def test_the_limits_are_those_that_keys_are_held_to() -> None:
    both = [Allowance(), TRIAL]

    assert numbers("Chats of each model") == [each.chat_requests for each in both]
    assert numbers("Chats of Command A+") == [CHAT_ON_REQUEST_PER_MINUTE] * 2
    assert {each.limit_of(f"chat {model}") for each in both for model in ON_REQUEST} == {CHAT_ON_REQUEST_PER_MINUTE}
    assert numbers("texts embedded") == [each.embed_inputs for each in both]
    assert numbers("images embedded") == [each.embed_images for each in both]
    assert numbers("Reranks") == [each.rerank_requests for each in both]


@pytest.mark.parametrize(
    ("row", "at_s"), [("after a silence", 0.0), ("after 10 s", 10.0), ("after 30 s", 30.0), ("after 63 s", 63.0)]
)
def test_the_worked_example_comes_as_the_page_says(row: str, at_s: float) -> None:
    (said,) = numbers(row)

    async def main() -> int:
        replica = Replica(MemoryRow())
        tasks = [asyncio.create_task(replica.send("a", embed(1))) for _ in range(INPUTS)]
        await asyncio.sleep(at_s + 0.05)
        return sum(task.done() for task in tasks)

    assert simulated(main) == pytest.approx(said, abs=2)

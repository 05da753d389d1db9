"""Cohere's limits enforced: what is paced meets none of them, and uses most of them."""

import asyncio
from random import Random

import pytest

from clients.pacing.load import Load
from clients.pacing.row import LEAST_PERMILLE
from clients.sandbox.answer import Answer
from clients.sandbox.errors import CohereError
from clients.sandbox.keys import KeyRing
from clients.sandbox.limits import Enforced, Minutes, RateLimits
from tests.pacing.memory_row import KEY, MemoryRow
from tests.pacing.simulated import CHAT, Replica, embed, now_s, simulated
from tests.pacing.sliding import most_in_a_minute

PRODUCTION = next(key for key in KeyRing().all() if key.name == "sandbox-production")
WAY_S = 1.9
"""How long a turn's way to Cohere may take at most, and a bit less."""


class Cohere:
    """What the sandbox counts, on the loop's clock."""

    def __init__(self, minutes: Minutes, *, ahead_s: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        self._limits = RateLimits(lambda: loop.time() + ahead_s)
        self._limits.enforce(Enforced.ALL, minutes)
        self.answered = self.refused = 0

    async def ask(self, texts: int, random: Random) -> None:
        await asyncio.sleep(random.uniform(0.0, WAY_S))
        try:
            self._limits.admit(PRODUCTION, "/v2/embed", Answer({}, model="embed-v4.0", texts=texts))
            self.answered += texts
        except CohereError:
            self.refused += 1


@pytest.mark.parametrize("minutes", list(Minutes))
@pytest.mark.parametrize("texts", [1, 96])
def test_a_burst_of_embeds_at_20_times_the_rate_meets_no_429(minutes: Minutes, texts: int) -> None:
    async def main() -> None:
        random, cohere, replica = Random(3), Cohere(minutes, ahead_s=31.0), Replica(MemoryRow(trip_s=0.002))

        async def call() -> None:
            await replica.send("a", embed(texts))
            await cohere.ask(texts, random)

        async with asyncio.TaskGroup() as group:  # 6,000 inputs in 9 s, three minutes' worth
            for _ in range(6000 // texts):
                group.create_task(call())
                await asyncio.sleep(texts * 60 / 2000 / 20)

        assert cohere.refused == 0
        assert cohere.answered == 6000 // texts * texts
        assert now_s() < 60 * (6000 - 200) / 2000 / 0.857 + 5

    simulated(main)


def test_three_replicas_use_most_of_a_limit_and_never_more() -> None:
    async def main() -> None:
        random, row = Random(5), MemoryRow(trip_s=0.004)
        replicas = [Replica(row) for _ in range(3)]

        async def keep_calling(replica: Replica, load: Load) -> None:
            while True:
                await replica.send(random.choice("ab"), load)
                if random.random() < 0.02:
                    await asyncio.sleep(random.uniform(0, 10))

        tasks = [asyncio.create_task(keep_calling(each, CHAT)) for each in replicas for _ in range(40)]
        await asyncio.sleep(300)
        sent = [one for each in replicas for one in each.counted]
        late = [(at_us + random.randrange(2_000_000), amount) for at_us, amount in sent]

        assert most_in_a_minute(sent) <= 500
        assert most_in_a_minute(late) <= 500
        assert len(sent) >= 0.8 * 500 * 5
        assert row.trips < 6 * 300
        assert len(tasks) == 120

    simulated(main)


def test_a_429_slows_all_replicas_and_the_rate_comes_back() -> None:
    async def main() -> None:
        row = MemoryRow()
        first, second = Replica(row), Replica(row)

        async def keep_calling(replica: Replica) -> None:
            while True:
                await replica.send()

        tasks = [asyncio.create_task(keep_calling(each)) for each in (first, second) for _ in range(50)]
        full = 500 * 54 / 63

        async def per_minute() -> float:
            before = len(first.sent) + len(second.sent)
            await asyncio.sleep(60)
            return (len(first.sent) + len(second.sent) - before) / full

        await asyncio.sleep(30)
        for _ in range(10):  # within a second they are one
            first.pacer.slow("a", KEY, CHAT, None)
            second.pacer.slow("a", KEY, CHAT, None)
            await asyncio.sleep(0.05)
        shares = [await per_minute() for _ in range(5)]

        assert shares == pytest.approx([0.825, 0.875, 0.925, 0.975, 1.0], abs=0.02)
        for task in tasks:
            task.cancel()

    simulated(main)


def test_429s_without_end_leave_a_twentieth() -> None:
    async def main() -> None:
        row, replica = MemoryRow(), Replica()
        replica = Replica(row)
        for _ in range(100):
            replica.pacer.slow("a", KEY, CHAT, None)
            await asyncio.sleep(1.1)

        ((_, permille, _),) = row.rows.values()
        assert permille == LEAST_PERMILLE

    simulated(main)


def test_a_retry_after_is_waited_for_by_all_replicas() -> None:
    async def main() -> None:
        row = MemoryRow()
        first, second = Replica(row), Replica(row)
        for _ in range(20):  # turns are in hand then
            await first.send()
            await asyncio.sleep(0.2)
        first.pacer.slow("a", KEY, CHAT, 8.0)
        await asyncio.sleep(0.01)
        waits_s = await asyncio.gather(first.send(), second.send())

        assert min(waits_s) >= 7.9
        assert max(waits_s) < 9.0

    simulated(main)


def test_a_retry_after_is_waited_for_though_a_429_without_one_came_just_before() -> None:
    async def main() -> None:
        row = MemoryRow(trip_s=0.005)
        first, second = Replica(row), Replica(row)
        await first.send()
        first.pacer.slow("a", KEY, CHAT, None)
        await asyncio.sleep(0.1)
        trips = row.trips
        for _ in range(20):  # all that were under way are told the same
            first.pacer.slow("a", KEY, CHAT, 8.0)
            await asyncio.sleep(0.01)
        told = row.trips - trips
        waits_s = await asyncio.gather(first.send(), second.send())

        assert told == 1
        assert min(waits_s) >= 7.7
        assert [permille for _, permille, _ in row.rows.values()] == [800]

    simulated(main)

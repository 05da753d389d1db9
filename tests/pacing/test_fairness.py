"""A noisy team beside a quiet one on the same Cohere key, in simulated time."""

import asyncio
from random import Random

import pytest

from clients.pacing.allowance import Allowance
from tests.pacing.memory_row import MemoryRow
from tests.pacing.simulated import CHAT, Replica, embed, now_s, simulated
from tests.pacing.sliding import most_in_a_minute

COHERE_S = (0.3, 1.2)
"""How long an answer takes."""
PER_S = 500 * 54 / 63 / 60
"""The turns of a production key's chats, per second."""


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


async def calls(replica: Replica, team: str, per_s: float, until_s: float, random: Random) -> list[float]:
    """Calls at random moments, as many per second; how long each took, wait and answer."""
    took_s: list[float] = []

    async def call() -> None:
        began_s = now_s()
        await replica.send(team)
        await asyncio.sleep(random.uniform(*COHERE_S))
        took_s.append(now_s() - began_s)

    async with asyncio.TaskGroup() as group:
        while now_s() < until_s:
            await asyncio.sleep(random.expovariate(per_s))
            group.create_task(call())
    return took_s


def test_a_quiet_team_hardly_feels_one_at_ten_times_its_share() -> None:
    async def alone() -> list[float]:
        return await calls(Replica(), "quiet", PER_S / 4, 200, Random(1))

    async def beside_it() -> list[float]:
        replica = Replica(teams="")
        replica.pacer.take_over(dict.fromkeys(("quiet", "noisy"), Allowance()))
        noisy = asyncio.create_task(calls(replica, "noisy", 10 * PER_S / 2, 200, Random(2)))
        took_s = await calls(replica, "quiet", PER_S / 4, 200, Random(1))
        noisy.cancel()
        return took_s

    quiet_s, beside_s = simulated(alone), simulated(beside_it)
    print(f"p99 alone {p99(quiet_s):.3f} s, beside a noisy team {p99(beside_s):.3f} s")

    assert p99(beside_s) < 2 * p99(quiet_s)


@pytest.mark.parametrize("replicas", [1, 3])
def test_teams_that_want_more_than_their_share_get_equal_shares(replicas: int) -> None:
    async def main() -> None:
        row = MemoryRow(trip_s=0.003)
        made = [Replica(row) for _ in range(replicas)]
        waiting = [asyncio.create_task(each.send(team)) for each in made for team in "a" * 900 + "b" * 450]
        await asyncio.sleep(100)
        shares = [sum(replica.amount_of(team) for replica in made) for team in "ab"]

        print(f"{replicas} replicas: shares {shares[0]} and {shares[1]} of {PER_S * 100:.0f}")
        assert shares[0] == pytest.approx(shares[1], rel=0.05)
        assert sum(shares) > 0.95 * PER_S * 100
        assert most_in_a_minute([sent for replica in made for sent in replica.counted]) <= 500
        assert not all(task.done() for task in waiting)

    simulated(main)


def test_large_requests_get_no_more_than_small_ones() -> None:
    async def main() -> None:
        replica = Replica()
        loads = [("a", embed(96))] * 100 + [("b", embed(1))] * 4000
        waiting = [asyncio.create_task(replica.send(team, load)) for team, load in loads]
        await asyncio.sleep(240)

        print(f"96 inputs at once: {replica.amount_of('a')}, one at once: {replica.amount_of('b')}")
        assert replica.amount_of("a") == pytest.approx(replica.amount_of("b"), rel=0.05)
        assert most_in_a_minute(replica.counted) <= 2000
        assert not all(task.done() for task in waiting)

    simulated(main)


def test_one_who_comes_anew_waits_for_a_turn_and_not_for_the_line() -> None:
    async def main() -> None:
        replica = Replica()
        waiting = [asyncio.create_task(replica.send("a")) for _ in range(1000)]
        await asyncio.sleep(5)

        assert await replica.send("b", CHAT) < 2 / PER_S
        assert sum(task.done() for task in waiting) < 100

    simulated(main)

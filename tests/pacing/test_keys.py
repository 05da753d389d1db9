"""Cohere keys that change: each is paced for itself, and by the limits of the teams that use it now."""

import asyncio

import pytest
from yarl import URL

from clients.cohere_key import CohereKey
from clients.key_ring import KeyRing
from clients.pacing.allowance import TRIAL, Allowance
from clients.pacing.errors import UpstreamBusy
from clients.teams import TeamClient
from tests.pacing.simulated import CHAT, FOR_EVER_S, Replica, embed, now_s, simulated

SMALL = Allowance(chat_requests=60)
ONE_S = 63 / 54


def client_of(keys: KeyRing) -> TeamClient:
    """A team whose key is the first."""
    keys.use(CohereKey("first", 1))
    return TeamClient("a", URL("http://127.0.0.1:1"), keys, "env")


def test_a_team_with_a_new_key_slows_the_old_one_no_longer() -> None:
    async def main() -> None:
        replica = Replica()
        replica.pacer.take_over({"a": Allowance(), "b": TRIAL})
        for load in (CHAT, embed(1)):
            await replica.send("b", load)
        slow = [await replica.send("a") for _ in range(5)]
        await replica.pacer.turn("b", CohereKey("its-own", 1), CHAT, FOR_EVER_S)
        await asyncio.sleep(20)
        fast = [await replica.send("a") for _ in range(40)]

        assert max(slow) > 3
        assert max(fast) < 0.2

    simulated(main)


def test_who_waited_with_the_old_key_has_its_turn_of_the_new_one() -> None:
    async def main() -> None:
        replica, keys = Replica(allowance=SMALL), KeyRing()
        client = client_of(keys)
        waiting = [asyncio.create_task(client.slot("chat", replica.pacer, CHAT, FOR_EVER_S)) for _ in range(9)]
        await asyncio.sleep(0.1)
        keys.use(CohereKey("second", 2))
        for _ in range(6):
            await client.slot("chat", replica.pacer, CHAT, FOR_EVER_S)
        began_s = now_s()
        slots = await asyncio.gather(*waiting)

        assert [slot.key.version for slot in slots] == [1] * 6 + [2] * 3
        assert now_s() - began_s == pytest.approx(3 * ONE_S, abs=0.15)
        with pytest.raises(UpstreamBusy):
            await client.slot("chat", replica.pacer, CHAT, now_s() + 0.1)

    simulated(main)


def test_a_key_that_is_read_again_and_is_the_same_costs_no_second_turn() -> None:
    async def main() -> None:
        replica, keys = Replica(allowance=SMALL), KeyRing()
        client = client_of(keys)
        waiting = [asyncio.create_task(client.slot("chat", replica.pacer, CHAT, FOR_EVER_S)) for _ in range(7)]
        await asyncio.sleep(0.1)
        for version, key in ((2, "second"), (3, "first")):
            keys.use(CohereKey(key, version))
        slots = await asyncio.gather(*waiting)

        assert slots[-1].key.version == 3
        assert now_s() == pytest.approx(ONE_S, abs=0.01)

    simulated(main)

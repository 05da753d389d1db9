"""Turns: at once, after a wait that fits the deadline, or refused."""

import asyncio

import pytest

from clients.cohere_key import CohereKey
from clients.pacing.allowance import TRIAL, Allowance
from clients.pacing.errors import PaceLost, RequestExceedsRate, UpstreamBusy
from clients.pacing.load import Load
from tests.pacing.memory_row import KEY, MemoryRow
from tests.pacing.simulated import CHAT, Replica, embed, now_s, simulated
from tests.pacing.sliding import most_in_a_minute

SMALL = Allowance(chat_requests=60)
"""A burst of 6, then one in 1.167 s."""
ONE_S = 63 / 54


def test_a_tenth_of_the_limit_goes_at_once_and_the_rest_evenly() -> None:
    async def main() -> None:
        replica = Replica(allowance=SMALL)
        waits_s = await asyncio.gather(*(replica.send() for _ in range(10)))

        assert waits_s[:6] == pytest.approx([0.0] * 6, abs=1e-4)
        assert waits_s[6:] == pytest.approx([ONE_S, 2 * ONE_S, 3 * ONE_S, 4 * ONE_S], abs=1e-3)
        assert replica.told.waiting == {"a": 0}

    simulated(main)


@pytest.mark.parametrize("pause_s", [0.2, 1.0, 3.0])
def test_a_key_in_light_use_makes_nobody_wait_for_the_database(pause_s: float) -> None:
    async def main() -> None:
        row = MemoryRow(trip_s=0.01)
        replica = Replica(row)
        waits_s = []
        for _ in range(100):
            waits_s.append(await replica.send())
            await asyncio.sleep(pause_s)

        assert max(waits_s[5:]) == 0.0
        assert row.trips <= min(102, 2 + 100 * pause_s)  # beside them

    simulated(main)


def test_a_call_after_a_silence_costs_one_trip() -> None:
    async def main() -> None:
        row = MemoryRow(trip_s=0.01)
        replica = Replica(row)
        for calls in range(1, 4):
            assert await replica.send() == pytest.approx(0.01)
            assert row.trips == calls
            await asyncio.sleep(60)

    simulated(main)


def test_whose_turn_comes_too_late_is_refused_at_once_with_the_wait() -> None:
    async def main() -> None:
        replica = Replica(allowance=SMALL)
        waiting = [asyncio.create_task(replica.send()) for _ in range(16)]
        await asyncio.sleep(0.1)
        began_s = now_s()
        with pytest.raises(UpstreamBusy) as refused:
            await replica.send(timeout_s=5.0)

        assert now_s() == began_s
        assert refused.value.wait_ms == pytest.approx((11 * ONE_S - 0.1) * 1000, abs=20)
        assert (refused.value.limit_name, refused.value.limit) == ("chat command-a-03-2025", 60)
        assert await replica.send(timeout_s=refused.value.wait_ms / 1000 + 0.1) > 0
        await asyncio.gather(*waiting)

    simulated(main)


def test_who_waits_exactly_as_told_is_let_in() -> None:
    async def main() -> None:
        replica = Replica(allowance=SMALL)
        refusals = 0

        async def patient() -> None:
            nonlocal refusals
            while True:
                try:
                    await replica.send(timeout_s=1.0)
                except UpstreamBusy as busy:
                    refusals += 1
                    await asyncio.sleep(busy.wait_ms / 1000)
                else:
                    return

        await asyncio.gather(*(replica.send() for _ in range(12)), patient())
        assert refusals == 1

    simulated(main)


def test_another_replica_that_is_faster_makes_one_refuse_when_it_shows() -> None:
    async def main() -> None:
        row = MemoryRow()
        busy, other = Replica(row, allowance=SMALL), Replica(row, allowance=SMALL)
        waiting = [asyncio.create_task(busy.send()) for _ in range(12)]
        await asyncio.sleep(0.5)
        with pytest.raises(UpstreamBusy):  # nothing is known here of the row until it is asked
            await other.send(timeout_s=0.2)

        assert now_s() <= 0.7
        await asyncio.gather(*waiting)

    simulated(main)


def test_who_leaves_gives_its_place_up() -> None:
    async def main() -> None:
        replica = Replica(allowance=SMALL)
        sent = [asyncio.create_task(replica.send()) for _ in range(10)]
        await asyncio.sleep(0.1)
        for task in sent[6:9]:
            task.cancel()
        last_s = await sent[9]

        assert last_s == pytest.approx(ONE_S, abs=1e-3)
        assert replica.pacer.waiting("a") == 0

    simulated(main)


def test_a_turn_that_is_given_back_goes_to_who_waits() -> None:
    async def main() -> None:
        replica = Replica(allowance=SMALL)
        turns = [await replica.pacer.turn("a", KEY, CHAT, 1e6) for _ in range(6)]
        waiting = [asyncio.create_task(replica.send("b")) for _ in range(3)]
        await asyncio.sleep(0.1)
        for turn in turns[-2:]:
            replica.pacer.give_back(turn)
        await asyncio.sleep(0.01)
        gone = sum(task.done() for task in waiting)
        await asyncio.gather(*waiting)

        assert gone >= 1
        assert now_s() < 2.2 * ONE_S

    simulated(main)


def test_what_counts_for_more_than_a_minute_allows_is_refused() -> None:
    async def main() -> None:
        replica = Replica(allowance=Allowance(embed_inputs=50))
        with pytest.raises(RequestExceedsRate) as refused:
            await replica.send(load=embed(96), timeout_s=1.0)

        assert (refused.value.limit_name, refused.value.limit, refused.value.amount) == ("embed texts", 50, 96)
        assert await replica.send(load=embed(50)) == 0.0

    simulated(main)


def test_an_embed_of_texts_and_images_has_its_turn_of_both_limits() -> None:
    async def main() -> None:
        row, allowance = MemoryRow(trip_s=0.002), Allowance(embed_inputs=300, embed_images=60)
        replica = Replica(row, allowance=allowance)
        texts: list[tuple[int, int]] = []
        images: list[tuple[int, int]] = []

        async def both() -> None:
            await replica.send("a", embed(3, 2))
            texts.append((int(now_s() * 1e6), 3))
            images.append((int(now_s() * 1e6), 2))

        async def only_texts() -> None:
            await replica.send("b", embed(5))
            texts.append((int(now_s() * 1e6), 5))

        await asyncio.gather(*(both() for _ in range(60)), *(only_texts() for _ in range(60)))
        assert most_in_a_minute(texts) <= 300
        assert most_in_a_minute(images) <= 60
        assert now_s() < 60 * 2 * 63 / 54 + 5  # the images are what it takes

    simulated(main)


def test_teams_that_are_off_are_not_paced() -> None:
    async def main() -> None:
        row = MemoryRow()
        replica = Replica(row, teams="")

        assert await asyncio.gather(*(replica.send() for _ in range(1000))) == [0.0] * 1000
        assert row.trips == 0

    simulated(main)


def test_the_lowest_limit_of_those_who_share_a_key_holds() -> None:
    async def main() -> None:
        replica = Replica()
        replica.pacer.take_over({"a": Allowance(), "b": TRIAL})
        await replica.send("b")
        for _ in range(30):
            await replica.send("a")

        assert most_in_a_minute(replica.counted) <= 20

    simulated(main)


def test_a_reload_changes_the_rate_for_those_who_wait() -> None:
    async def main() -> None:
        replica = Replica(allowance=TRIAL)
        sent = [asyncio.create_task(replica.send()) for _ in range(60)]
        await asyncio.sleep(10.0)
        gone = len(replica.sent)
        replica.pacer.take_over({"a": Allowance()})
        await asyncio.gather(*sent)

        assert gone <= 5
        assert now_s() < 30.0

    simulated(main)


@pytest.mark.parametrize("load", [embed(96), embed(96, 4)])
def test_a_reload_refuses_those_who_wait_for_more_than_a_minute_allows_now(load: Load) -> None:
    async def main() -> None:
        row = MemoryRow(trip_s=0.001)
        replica = Replica(row, allowance=Allowance(embed_inputs=200, embed_images=4))
        sent = [asyncio.create_task(replica.send(load=load)) for _ in range(3)]
        await asyncio.sleep(1.0)
        trips = row.trips
        replica.pacer.take_over({"a": Allowance(embed_inputs=50, embed_images=4)})
        ends = await asyncio.gather(*sent, return_exceptions=True)

        assert [type(end) for end in ends[1:]] == [RequestExceedsRate] * 2
        assert now_s() < 1.1
        assert row.trips == trips

    simulated(main)


def test_a_reload_lets_those_go_who_are_paced_no_more() -> None:
    async def main() -> None:
        replica = Replica(allowance=TRIAL)
        sent = [asyncio.create_task(replica.send()) for _ in range(60)]
        await asyncio.sleep(1.0)
        replica.pacer.take_over({})
        await asyncio.gather(*sent)

        assert now_s() == 1.0

    simulated(main)


def test_a_row_that_does_not_answer_is_told_to_all_who_wait() -> None:
    async def main() -> None:
        row = MemoryRow(trip_s=0.01)
        replica = Replica(row, allowance=SMALL)
        row.is_away = True
        lost = await asyncio.gather(*(replica.send() for _ in range(20)), return_exceptions=True)
        row.is_away = False

        assert [type(error) for error in lost] == [PaceLost] * 20
        assert await replica.send() == pytest.approx(0.01)

    simulated(main)


def test_keys_and_limits_do_not_share_turns() -> None:
    async def main() -> None:
        replica = Replica(allowance=TRIAL)
        other = CohereKey("another", 1)
        for _ in range(2):
            await replica.send()
            await replica.pacer.turn("a", other, CHAT, 1e6)
            await replica.pacer.turn("b", KEY, embed(90), 1e6)

        assert now_s() == 0.0

    simulated(main)


def test_a_clock_that_is_set_moves_nobody_far() -> None:
    shift_us = 0

    async def main() -> None:
        nonlocal shift_us
        replica = Replica(MemoryRow(lambda: 10**15 + shift_us + int(now_s() * 1e6)), allowance=SMALL)
        sent = [asyncio.create_task(replica.send()) for _ in range(100)]
        await asyncio.sleep(20.0)
        shift_us = 600_000_000
        await asyncio.gather(*sent)

        assert now_s() < 100 * ONE_S + 10
        assert most_in_a_minute(replica.counted) <= 60 + 6 + 8  # a burst, for the row looks idle

    simulated(main)

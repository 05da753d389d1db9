"""Calls come seldom if the last commit is some time ago, and the loop has had nothing to do since."""

import asyncio

import pytest

from service.books.gathering import IDLE_TURN_S, LOOKS_MAX_S, REST_S, Rest


class Clock:
    """Goes on by itself with each look, as turns take."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.turn_s = IDLE_TURN_S / 4
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        self.now_s += self.turn_s
        return self.now_s


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def is_over(rest: Rest) -> bool:
    return rest.is_over


async def test_before_the_first_commit_there_was_a_rest() -> None:
    assert is_over(Rest(Clock()))


async def test_a_rest_takes_a_turn_with_nothing_to_do_and_its_time() -> None:
    clock = Clock()
    rest = Rest(clock)
    rest.begin()
    clock.now_s += REST_S
    assert not is_over(rest)  # the loop may be at its calls all the time

    await turns(3)
    assert is_over(rest)
    rest.begin()
    await turns(3)
    assert not is_over(rest)
    clock.now_s += REST_S
    assert is_over(rest)


async def test_a_loop_that_is_busy_does_not_rest() -> None:
    clock = Clock()
    rest = Rest(clock)
    clock.turn_s = IDLE_TURN_S * 2
    rest.begin()
    for _ in range(10):
        await turns(1)
        assert not is_over(rest)

    clock.turn_s = IDLE_TURN_S / 4
    await turns(3)
    clock.now_s += REST_S
    assert is_over(rest)


@pytest.mark.parametrize("commits", [1, 3])
async def test_where_every_turn_is_slow_the_loop_sleeps_again_soon(commits: int) -> None:
    clock = Clock()
    rest = Rest(clock)
    clock.turn_s = LOOKS_MAX_S / 10
    for _ in range(commits):
        rest.begin()
    await turns(50)
    looks = clock.looks

    await turns(50)

    assert clock.looks == looks
    assert not is_over(rest)

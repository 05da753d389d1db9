"""A budget whose row stays locked, by a replica that stands still or a session by hand, is nobody else's trouble."""

import asyncio
from typing import Any

import pytest

from service.books.entries import Settled
from service.books.errors import BooksUnavailable
from tests.books.making import admission, note, settlement
from tests.books.scripted import Scene, in_simulated_time


async def _locked_out(scene: Scene, *entries: Any) -> list[float]:
    """How long each of the entries of other teams took, in seconds, one after the other."""
    loop = asyncio.get_running_loop()
    took = []
    for entry in entries:
        started_s = loop.time()
        await scene.committer.submit(entry)
        took.append(loop.time() - started_s)
    return took


@in_simulated_time
async def test_a_budget_that_stays_locked_lets_no_other_team_wait_more_than_once() -> None:
    scene = await Scene.new()
    ads = admission("ads")
    admitted = await scene.committer.submit(ads)
    scene.database.locked.add("ads")
    kept = scene.committer.submit(settlement(ads, admitted, 3))
    took_s = await _locked_out(scene, admission(), *(note() for _ in range(500)))
    with pytest.raises(BooksUnavailable):
        await scene.committer.submit(admission("ads"))

    assert took_s[0] < 0.6
    assert max(took_s[1:]) < 0.05
    assert not kept.done()
    scene.database.locked.clear()
    assert await kept == Settled(3)
    assert await scene.committer.submit(admission("ads"))
    assert scene.told == []


@in_simulated_time
async def test_a_locked_budget_that_is_asked_for_again_and_again_lets_nobody_wait() -> None:
    scene = await Scene.new()
    scene.database.locked.add("ads")
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        while loop.time() < 3.0:
            with pytest.raises(BooksUnavailable):
                await scene.committer.submit(admission("ads"))
            await asyncio.sleep(0.003)

    asking = asyncio.create_task(ask())
    took_s = []
    while loop.time() < 3.0:
        took_s += await _locked_out(scene, note())
    await asking

    assert sorted(took_s)[-2] < 0.05
    assert max(took_s) < 0.6

"""Whole processes stand still and go on as real ones do."""

import asyncio

from tests.simulation.simulated_time import NOBODY, Process, SimulatedLoop


def test_what_a_process_had_planned_happens_when_it_goes_on_unless_it_is_cancelled() -> None:
    loop = SimulatedLoop()
    process = Process(loop)
    happened: list[str] = []

    async def plan() -> asyncio.TimerHandle:
        loop.call_later(1.0, happened.append, "kept")
        return loop.call_later(1.0, happened.append, "cancelled")

    async def play() -> None:
        cancelled = await process.start(plan())
        process.is_stopped = True
        await asyncio.sleep(2.0)
        assert happened == []
        cancelled.cancel()
        process.resume()
        await asyncio.sleep(1.0)

    loop.run_until_complete(loop.create_task(play(), context=NOBODY))
    loop.close()

    assert happened == ["kept"]

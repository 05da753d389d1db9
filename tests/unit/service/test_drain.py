import asyncio
from typing import cast

import pytest
from yarl import URL

from clients.cohere_key import CohereKey
from clients.slot import Slot
from cohort.v1.chat_pb2 import ChatStreamResponse
from service.call import Call
from service.context import Context
from service.drain import Drain, EventWriter
from service.errors import DeadlineExceeded
from service.snapshot import Snapshot
from service.status import Outcome

EVENT = ChatStreamResponse()


def new_call(timeout_s: float = 60.0, *, sent: bool = True) -> Call:
    call = Call("/x/Y", cast("Snapshot", None), asyncio.get_running_loop().time() + timeout_s)
    call.slot = Slot(CohereKey("key", 1), URL("http://127.0.0.1"), sent=sent)
    return call


class Ended:
    """Remembers how detached attempts ended."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.told = asyncio.Event()

    def __call__(self, call: Call, outcome: Outcome) -> None:
        assert call.detached
        self.outcomes.append(outcome)
        self.told.set()


class DeafCaller:
    """A context whose writes never end."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()

    async def write(self, _: object) -> None:
        self.writing.set()
        await asyncio.Event().wait()


async def test_an_attempt_in_time_gives_its_result() -> None:
    async def attempt() -> int:
        return 7

    ended = Ended()
    drain = Drain(1.0, ended)

    assert await drain.run(new_call(), attempt()) == 7
    assert (drain.detached, ended.outcomes) == (0, [])


async def test_an_attempt_that_fails_raises_to_its_caller() -> None:
    async def attempt() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Drain(1.0, Ended()).run(new_call(), attempt())


async def test_a_cancelled_caller_leaves_the_attempt_running_to_its_end() -> None:
    gate = asyncio.Event()

    async def attempt() -> None:
        await gate.wait()

    ended = Ended()
    drain = Drain(60.0, ended)
    caller = asyncio.create_task(drain.run(new_call(), attempt()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert drain.detached == 1
    gate.set()
    await drain.close()

    assert ended.outcomes == [Outcome("OK", "")]


async def test_a_passed_deadline_leaves_the_attempt_until_the_drain_ends() -> None:
    ended = Ended()
    drain = Drain(0.01, ended)
    with pytest.raises(DeadlineExceeded):
        await drain.run(new_call(0.0), asyncio.sleep(3600))
    await drain.close()

    assert ended.outcomes == [Outcome("CANCELLED", "")]


async def test_a_caller_that_stopped_reading_does_not_hold_the_attempt() -> None:
    caller = DeafCaller()
    call = new_call(0.05)
    events = EventWriter(call, cast("Context", caller))
    done: list[str] = []

    async def attempt() -> None:
        await events.write(EVENT)
        await events.write(EVENT)
        done.append("to the end")

    ended = Ended()
    drain = Drain(3600.0, ended)
    with pytest.raises(DeadlineExceeded):
        await drain.run(call, attempt(), events)
    await drain.close()

    assert caller.writing.is_set()
    assert (done, ended.outcomes) == (["to the end"], [Outcome("OK", "")])


async def test_the_drain_still_ends_an_attempt_once_freed_from_a_write() -> None:
    call = new_call(0.05)
    events = EventWriter(call, cast("Context", DeafCaller()))

    async def attempt() -> None:
        await events.write(EVENT)
        await asyncio.sleep(3600)

    ended = Ended()
    drain = Drain(0.01, ended)
    with pytest.raises(DeadlineExceeded):
        await drain.run(call, attempt(), events)
    await drain.close()

    assert ended.outcomes == [Outcome("CANCELLED", "")]


async def test_a_gone_peer_is_a_caller_that_left() -> None:
    class Gone:
        async def write(self, _: object) -> None:
            raise RuntimeError("the RPC is over")

    call = new_call()
    events = EventWriter(call, cast("Context", Gone()))
    await events.write(EVENT)
    await events.write(EVENT)

    assert (call.detached, call.events) == (True, 0)


async def test_an_attempt_that_ends_at_once_is_never_called_late() -> None:
    async def attempt() -> int:
        return 7

    assert await Drain(1.0, Ended()).run(new_call(-1.0), attempt()) == 7


async def test_nothing_is_sent_for_a_caller_that_left_before() -> None:
    call = new_call(sent=False)
    ended = Ended()
    drain = Drain(3600.0, ended)
    caller = asyncio.create_task(drain.run(call, asyncio.sleep(3600)))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await drain.close()

    assert ended.outcomes == [Outcome("CANCELLED", "")]


async def test_a_stop_ends_what_does_not_end_by_itself() -> None:
    ended = Ended()
    drain = Drain(3600.0, ended)
    with pytest.raises(DeadlineExceeded):
        await drain.run(new_call(0.0), asyncio.sleep(3600))
    await drain.close(0.01)

    assert ended.outcomes == [Outcome("CANCELLED", "")]

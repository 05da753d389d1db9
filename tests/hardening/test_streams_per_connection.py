"""Both halves of docs/decisions/0003: an attacker takes no call from others, a busy caller is refused none."""

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import grpc.aio
import pytest

from tests.e2e.processes import PATIENCE_S, ROOT, environment
from tests.e2e.requests import chat, rerank
from tests.hardening import frames
from tests.hardening.edge import Edge
from tests.hardening.frames import END_HEADERS, END_STREAM, HEADERS, frame, request_fields
from tests.hardening.raw import raw_connection

RPC = "/cohort.v1.GatewayService/Rerank"
ATTACK_S = 2
CALLERS = 4


@contextlib.contextmanager
def rapid_reset(edge: Edge, connections: int) -> "Iterator[subprocess.Popen[str]]":
    words = [sys.executable, "-m", "tests.hardening.rapid_reset", str(edge.port), str(connections), str(ATTACK_S), RPC]
    process = subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


async def calls_until(edge: Edge, over: asyncio.Event) -> Counter[str]:
    """One caller that calls again and again over its own connection."""
    outcomes: Counter[str] = Counter()
    async with edge.stub() as stub:
        while not over.is_set():
            outcomes[await outcome(stub.Rerank(rerank(), metadata=edge.credentials, timeout=PATIENCE_S))] += 1
    return outcomes


async def outcome(call: grpc.aio.Call) -> str:
    return (await call.code()).name


@pytest.mark.parametrize("connections", [*(pytest.param(few, marks=pytest.mark.prove) for few in (1, 4)), 16])
async def test_rapid_reset_fails_no_call_of_others(edge: Edge, connections: int) -> None:
    over = asyncio.Event()
    with rapid_reset(edge, connections) as attack:
        callers = [asyncio.create_task(calls_until(edge, over)) for _ in range(CALLERS)]
        output, _ = await asyncio.to_thread(attack.communicate)
        over.set()
        outcomes = sum(await asyncio.gather(*callers), Counter())
    print(f"{int(output)} streams reset over {connections} connections, other calls meanwhile: {dict(outcomes)}")

    assert set(outcomes) == {"OK"}
    assert outcomes["OK"] >= CALLERS
    assert int(output) > 10_000


@pytest.mark.parametrize("in_flight", [200, 1000])
@pytest.mark.parametrize("kind", ["answered", "refused", "cancelled in part"])
async def test_a_channel_with_many_calls_in_flight_is_refused_none(edge: Edge, kind: str, in_flight: int) -> None:
    async with edge.stub() as stub:

        async def one(number: int) -> str:
            if kind == "refused":
                return await outcome(stub.Chat(chat(temperature=7.0), metadata=edge.credentials))
            call = stub.Rerank(rerank(), metadata=edge.credentials)
            if kind == "cancelled in part" and number % 2:
                asyncio.get_running_loop().call_later(number % 100 / 1000, call.cancel)
            return await outcome(call)

        outcomes = Counter(await asyncio.gather(*map(one, range(in_flight))))
    print(f"{in_flight} calls in flight, {kind}: {dict(outcomes)}")

    assert set(outcomes) <= {"OK", "INVALID_ARGUMENT", "CANCELLED"}
    assert kind != "answered" or outcomes["OK"] == in_flight
    assert kind != "refused" or outcomes["INVALID_ARGUMENT"] == in_flight


async def test_of_a_thousand_streams_on_a_connection_the_surplus_is_reset(edge: Edge) -> None:
    fields = request_fields(RPC, *edge.credentials)
    async with raw_connection(edge.port) as connection:
        await connection.send(b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, fields) for n in range(1000)))
        await connection.until(lambda: connection.resets.total() >= 900)
        surplus = dict(connection.resets)
        await edge.answers()
        # Those that were let in end when their bodies have not come.
        await connection.until(lambda: len(connection.answered) >= 100)

        assert sum(surplus.values()) == 900
        assert set(surplus) <= {frames.REFUSED_STREAM, frames.ENHANCE_YOUR_CALM}
        assert len(connection.answered) == 100
        assert connection.goaway is None


async def test_a_refused_call_ends_at_once_for_the_connection_too(edge: Edge) -> None:
    """One burst begins when the one before has been answered: calls that lingered in memory would be counted."""
    fields = request_fields(RPC)
    async with raw_connection(edge.port) as connection:

        async def burst(numbers: range) -> None:
            calls = (frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, fields) for number in numbers)
            await connection.send(b"".join(calls))
            await connection.until(lambda: len(connection.answered) + connection.resets.total() >= numbers.stop)

        for start in range(0, 3000, 50):
            await burst(range(start, start + 50))

        assert not connection.resets

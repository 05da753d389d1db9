"""Callers who do not wait for each other: Chats begin at random times, so many a second, however long they take.

Run as `python -m bench.pace PORT ACCESS_KEY CALLS_PER_S SECONDS`; it prints what it saw as a line of JSON.
"""

import asyncio
import dataclasses
import random
import selectors
import sys
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import orjson

from bench.load import RECEIPT_BYTES
from bench.spread import Spread
from bench.workloads import Workload, chat_workload

_CONNECTIONS = 4
_DEADLINE_S = 30
_SEED = 7
_FRAME_HEAD_BYTES = 5


@dataclass(frozen=True, slots=True)
class Paced:
    """What the callers saw.

    Attributes:
        calls: How many were made.
        answered: How many of them got their answer in full.
        seconds: From the first call's beginning to the last one's answer.
        late: How much later than due the calls began.
        problem: Of the first call that failed; empty if none did.
    """

    calls: int
    answered: int
    seconds: float
    late: Spread
    problem: str = ""


async def _pace(workload: Workload, port: int, access_key: str, calls_per_s: float, seconds: float) -> Paced:
    options = [("grpc.use_local_subchannel_pool", 1)]  # else they would share a connection
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(_CONNECTIONS)]
    path = f"/cohort.v1.GatewayService/{workload.method}"
    methods: list[Any] = [channel.unary_unary(path) for channel in channels]
    body, metadata = workload.request.SerializeToString(), (("x-api-key", access_key),)
    chance = random.Random(_SEED)  # noqa: S311 (to be the same every time)
    loop = asyncio.get_running_loop()
    started_s = due_s = loop.time()
    calls: list[asyncio.Task[int]] = []
    late_s: list[float] = []

    async def call(method: Any) -> int:
        return len(await method(body, metadata=metadata, timeout=_DEADLINE_S))

    while due_s < started_s + seconds:
        if (left_s := due_s - loop.time()) > 0:
            await asyncio.sleep(left_s)
        late_s.append(loop.time() - due_s)
        calls.append(loop.create_task(call(methods[len(calls) % _CONNECTIONS])))
        due_s += chance.expovariate(calls_per_s)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    took_s = loop.time() - started_s
    for channel in channels:
        await channel.close()
    return _seen(ended, workload.answer_bytes - _FRAME_HEAD_BYTES, took_s, late_s)


def _seen(ended: list[int | BaseException], answer_bytes: int, took_s: float, late_s: list[float]) -> Paced:
    answered = sum(isinstance(each, int) and abs(each - answer_bytes) <= RECEIPT_BYTES for each in ended)
    problem = next((str(each) for each in ended if isinstance(each, BaseException)), "")
    return Paced(len(ended), answered, took_s, Spread.of(late_s), problem)


def _main(port: str, access_key: str, calls_per_s: str, seconds: str) -> None:
    # select(2) waits to the microsecond; epoll, and with it uvloop, to the millisecond, which would bunch the calls.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        paced = runner.run(_pace(chat_workload(), int(port), access_key, float(calls_per_s), float(seconds)))
    sys.stdout.buffer.write(orjson.dumps(dataclasses.asdict(paced)) + b"\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])

"""A caller that is refused is refused by its headers: nothing of its body is asked for."""

import asyncio
import contextlib

import pytest

from tests.e2e.requests import rerank
from tests.hardening.edge import BODY_TIMEOUT_S, Edge
from tests.hardening.wire import Header, message, wire

RPC = "/cohort.v1.GatewayService/Rerank"
UNAUTHENTICATED, PERMISSION_DENIED, DEADLINE_EXCEEDED = 16, 7, 4
LARGE_BYTES = 30 * 1024 * 1024


def refused_metadata(key: str, expired: str, narrow: str) -> dict[str, tuple[Header, ...]]:
    return {
        "no credential": (),
        "two alike": (("x-api-key", key), ("x-api-key", key)),
        "two kinds": (("x-api-key", key), ("authorization", f"Bearer {key}")),
        "a good and an empty one": (("x-api-key", key), ("authorization", "")),
        "empty": (("x-api-key", ""),),
        "empty bearer": (("authorization", "Bearer "),),
        "bearer alone": (("authorization", "Bearer"),),
        "another scheme": (("authorization", f"Basic {key}"),),
        "no scheme": (("authorization", key),),
        "two in one": (("authorization", f"Bearer {key}, Bearer {key}"),),
        "cut": (("x-api-key", key[:-1]),),
        "one more letter": (("x-api-key", f"{key}x"),),
        "another case": (("x-api-key", key.swapcase()),),
        "a Cohere key": (("x-api-key", "sandbox-production"),),
        "10,000 characters": (("x-api-key", "a" * 10_000),),
        "binary": (("x-api-key-bin", "Y29ob3J0"),),
        "SQL": (("x-api-key", f"{key}' OR '1'='1"),),
        "expired": (("x-api-key", expired),),
        "without the scope": (("x-api-key", narrow),),
    }


@pytest.mark.parametrize("name", refused_metadata("", "", ""))
@pytest.mark.parametrize("body", [b"", message(bytes(LARGE_BYTES))], ids=["no body", "30 MiB"])
async def test_a_refusal_takes_no_body(edge: Edge, name: str, body: bytes) -> None:
    metadata = refused_metadata(edge.access_key, edge.access_keys["expired"], edge.access_keys["narrow"])[name]
    async with wire(edge.port) as connection:
        stream = await connection.begin(RPC, *metadata)
        first_window_bytes = connection.window_bytes(stream)
        sent_bytes = await connection.send(stream, body)
        answer = await connection.answer(stream)

    assert answer.code == (PERMISSION_DENIED if name == "without the scope" else UNAUTHENTICATED)
    assert answer.headers["x-call-id"]
    # What HTTP/2 lets anyone send unasked, and nothing more.
    assert sent_bytes <= first_window_bytes < LARGE_BYTES
    assert answer.window_bytes == 0
    assert edge.access_key not in str(answer)


async def test_the_same_body_is_taken_from_a_caller_who_is_let_in(edge: Edge) -> None:
    """What the measure above would show, if bodies were received."""
    body = message(rerank(query="x" * (LARGE_BYTES // 2), model="unknown").SerializeToString())
    async with wire(edge.port) as connection:
        stream = await connection.begin(RPC, *edge.credentials)
        first_window_bytes = connection.window_bytes(stream)
        sent_bytes = await connection.send(stream, body, ends=True)
        answer = await connection.answer(stream)

    assert answer.code == PERMISSION_DENIED
    assert sent_bytes == len(body) > first_window_bytes
    assert answer.window_bytes > 0


async def test_callers_that_send_no_body_harm_nobody_and_are_let_go(edge: Edge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(wire(edge.port)) for _ in range(5)]
        hanging = [(each, await each.begin(RPC, *edge.credentials)) for each in connections for _ in range(100)]
        await asyncio.gather(*(edge.answers() for _ in range(20)))
        print(f"{sum(not each.is_over(stream) for each, stream in hanging)} still hung when 20 others were answered")
        answers = await asyncio.gather(*(each.answer(stream) for each, stream in hanging))

    assert {answer.code for answer in answers} == {DEADLINE_EXCEEDED}
    assert {answer.headers["grpc-message"] for answer in answers} == {"The request message did not arrive within 2 s"}


async def test_a_body_that_drips_is_let_go_as_well(edge: Edge) -> None:
    body = message(rerank().SerializeToString())
    async with wire(edge.port) as connection:
        stream = await connection.begin(RPC, *edge.credentials)
        for byte in body:
            if await connection.send(stream, bytes((byte,))) == 0:
                break
            await asyncio.sleep(4 * BODY_TIMEOUT_S / len(body))
        answer = await connection.answer(stream)

    assert answer.code == DEADLINE_EXCEEDED

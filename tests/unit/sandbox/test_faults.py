import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from clients.sandbox.errors import MESSAGES
from clients.sandbox.faults import QUEUE_MAX, Fault
from tests.unit.sandbox.assembling import assemble, events_in
from tests.unit.sandbox.conftest import CHAT_COST_NANOS, HI, STREAM, Local


@pytest.mark.parametrize("status", sorted(MESSAGES))
async def test_a_status_is_answered_with_an_error_body_and_bills_nothing(local: Local, status: int) -> None:
    await local.queue(status=status, retry_after=7, error_type="WHY", headers={"x-more": "yes"})
    answered = await local.chat()

    assert answered.status == status
    assert set(answered.json) == {"id", "message", "error_type"}
    assert answered.json["error_type"] == "WHY"
    assert answered.headers["retry-after"] == "7"
    assert answered.headers["x-more"] == "yes"
    assert answered.headers["x-debug-trace-id"]
    assert await local.cost_nanos() == 0


@pytest.mark.parametrize(
    ("body", "content_type", "start"),
    [("html", "text/html", b"<html><head><title>502 Bad Gateway"), ("text", "text/plain", b"bad"), ("empty", "", b"")],
)
async def test_a_status_may_come_without_json(local: Local, body: str, content_type: str, start: bytes) -> None:
    await local.queue(status=502, body=body)
    answered = await local.chat()

    assert answered.status == 502
    assert answered.raw.startswith(start)
    assert bool(answered.raw) == bool(start)
    assert answered.headers["content-type"].startswith(content_type)


async def test_work_that_was_done_is_billed_under_any_status_if_asked(local: Local) -> None:
    await local.queue(status=504, billed=True)
    assert (await local.chat()).status == 504
    assert await local.cost_nanos() == CHAT_COST_NANOS


async def test_an_answer_may_be_left_off_the_bill(local: Local) -> None:
    await local.queue(billed=False)
    assert (await local.chat()).status == 200
    assert await local.cost_nanos() == 0


async def test_a_fault_meets_only_its_own_requests_and_only_so_often(local: Local) -> None:
    await local.queue(status=503, path="/v2/chat", key="sandbox-trial", stream=False, times=2)
    asked: list[tuple[dict[str, Any], str]] = [
        (HI, "sandbox-production"), (STREAM, "sandbox-trial"), (HI, "sandbox-trial"), (HI, "sandbox-trial"),
        (HI, "sandbox-trial"),
    ]  # fmt: skip
    statuses = [(await local.ask("POST", "/v2/chat", body, key=key)).status for body, key in asked]

    assert statuses == [200, 200, 503, 503, 200]
    assert (await local.ask("GET", "/sandbox/faults")).json == {"faults": []}


async def test_faults_without_an_end_stay_until_they_are_cleared(local: Local) -> None:
    await local.queue(status=500, times=None)
    before = [(await local.chat()).status for _ in range(3)]
    await local.ask("DELETE", "/sandbox/faults")

    assert before == [500] * 3
    assert (await local.chat()).status == 200


async def test_faults_are_met_in_their_order(local: Local) -> None:
    await local.ask("POST", "/sandbox/faults", {"faults": [{"status": 429}, {"status": 503}]})
    assert [(await local.chat()).status for _ in range(3)] == [429, 503, 200]


async def test_a_header_carries_a_fault_for_one_request(local: Local) -> None:
    local.headers = {"x-sandbox-fault": '{"status": 418}'}
    assert (await local.chat()).status == 418
    local.headers = {"x-sandbox-fault": '{"colour": 1}'}
    refused = await local.chat()
    assert (refused.status, "colour" in refused.json["message"]) == (400, True)
    local.headers = {}
    assert (await local.chat()).status == 200


@pytest.mark.parametrize(
    "given",
    [{}, [], {"faults": 1}, {"faults": [{"colour": 1}]}, {"faults": [{"status": 42}]}, {"faults": [{"latency_ms": -1}]},
     {"faults": [{"headers": {"a": "b\r\nc"}}]}, {"faults": [{"times": 1}] * (QUEUE_MAX + 1)}],
)  # fmt: skip
async def test_what_is_no_fault_is_refused(local: Local, given: Any) -> None:
    answered = await local.ask("POST", "/sandbox/faults", given)

    assert answered.status == 400
    assert answered.json["error"]
    assert (await local.ask("GET", "/sandbox/faults")).json == {"faults": []}


async def test_latency_delays_the_first_byte(local: Local) -> None:
    await local.queue(latency_ms=150)
    started_s = time.monotonic()
    await local.chat()

    assert time.monotonic() - started_s >= 0.15


async def test_a_gap_lies_between_the_events(local: Local) -> None:
    await local.queue(chunk_gap_ms=10)
    started_s = time.monotonic()
    pieces = await local.pieces(STREAM)

    assert len(pieces) > 10
    assert time.monotonic() - started_s >= 0.01 * len(events_in(b"".join(pieces)))


async def test_silence_is_never_answered_but_billed(local: Local) -> None:
    await local.queue(silence=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await local.chat()

    assert await local.cost_nanos() == CHAT_COST_NANOS


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_ends_without_an_answer(local: Local, *, reset: bool) -> None:
    await local.queue(disconnect=True, reset=reset)
    with pytest.raises(aiohttp.ClientConnectionError) as caught:
        await local.chat()

    assert isinstance(caught.value, aiohttp.ClientOSError if reset else aiohttp.ServerDisconnectedError)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_body_breaks_off_and_is_billed(local: Local, *, reset: bool) -> None:
    await local.queue(cut_after_bytes=10, reset=reset)
    pieces = await local.pieces(HI)

    assert b"".join(pieces) == b'{"id":"e3e<broken>'[:10] + b"<broken>"
    assert await local.cost_nanos() == CHAT_COST_NANOS


@pytest.mark.parametrize("reset", [False, True])
async def test_a_stream_breaks_off_after_some_events_and_is_billed(local: Local, *, reset: bool) -> None:
    await local.queue(cut_after_events=3, reset=reset)
    raw = b"".join(await local.pieces(STREAM))

    assert raw.endswith(b"<broken>")
    assert len(events_in(raw.removesuffix(b"<broken>"))) == 3
    assert await local.cost_nanos() == CHAT_COST_NANOS
    (attempt,) = (await local.bill())["keys"]["sandbox-production"]["attempts"]
    assert set(attempt["fault"]) == {"cut_after_events", "reset"}


async def test_a_stream_breaks_off_within_an_event(local: Local) -> None:
    await local.queue(cut_after_bytes=100)
    assert len(b"".join(await local.pieces(STREAM))) == 100 + len(b"<broken>")


async def test_a_stream_ends_cleanly_without_its_last_event(local: Local) -> None:
    await local.queue(eof_after_events=4)
    raw = b"".join(await local.pieces(STREAM))

    assert len(events_in(raw)) == 4
    assert b"[DONE]" not in raw
    assert b"message-end" not in raw


async def test_a_stream_stalls(local: Local) -> None:
    await local.queue(stall_after_events=2)
    given = {"Authorization": f"Bearer {local.key}"}
    pieces: list[bytes] = []
    async with local.session.post(local.url + "/v2/chat", data=orjson.dumps(STREAM), headers=given) as response:

        async def read() -> None:
            async for piece in response.content.iter_any():
                pieces.append(piece)  # noqa: PERF401 - what came before the timeout counts

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 0.3)

    assert len(events_in(b"".join(pieces))) == 2


async def test_a_stream_never_ends_and_bills_the_most_it_may(local: Local) -> None:
    await local.queue(endless=True)
    given = {"Authorization": f"Bearer {local.key}"}
    body = orjson.dumps({**STREAM, "max_tokens": 100})
    raw = b""
    async with local.session.post(local.url + "/v2/chat", data=body, headers=given) as response:
        while len(raw) < 100_000:
            raw += await response.content.readany()

    assert b"message-end" not in raw
    assert await local.cost_nanos() == 2_500 + 100 * 10_000


async def test_a_stream_comes_in_small_pieces_or_all_at_once(local: Local) -> None:
    whole = b"".join(await local.pieces(STREAM))
    await local.queue(split_bytes=7, chunk_gap_ms=1)
    split = await local.pieces(STREAM)
    await local.queue(merge=True)
    merged = await local.pieces(STREAM)

    assert max(map(len, split)) == 7
    assert len(merged) == 1
    for raw in (b"".join(split), merged[0]):
        assert {**assemble(events_in(raw)), "id": 0} == {**assemble(events_in(whole)), "id": 0}


async def test_lines_may_end_in_crlf_and_comments_stand_between(local: Local) -> None:
    await local.queue(crlf=True, comments=True)
    raw = b"".join(await local.pieces(STREAM))

    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert raw.count(b": keep-alive\r\n") == len(events_in(raw))
    assert raw.endswith(b"data: [DONE]\r\n\r\n")


async def test_an_unknown_event_comes_among_the_known(local: Local) -> None:
    await local.queue(unknown_event=True)
    kinds = [event["type"] for event in events_in(b"".join(await local.pieces(STREAM)))]

    assert kinds.count("sandbox-unknown") == 2
    assert kinds[-1] == "message-end"


def test_every_field_of_a_fault_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
    assert [name for name in Fault.model_fields if f"`{name}`" not in page] == []

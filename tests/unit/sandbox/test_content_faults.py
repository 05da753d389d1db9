import base64
import gzip
from typing import Any

import aiohttp
import orjson
import pytest

from tests.unit.sandbox.assembling import assemble, events_in
from tests.unit.sandbox.conftest import CHAT_COST_NANOS, HI, STREAM, Local

EMBED: dict[str, Any] = {"model": "embed-v4.0", "input_type": "search_query", "texts": ["one", "two"]}


@pytest.mark.parametrize("body", [HI, STREAM])
async def test_an_answer_is_packed(local: Local, body: dict[str, Any]) -> None:
    await local.queue(gzip=True)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        given = {"Authorization": f"Bearer {local.key}"}
        async with session.post(local.url + "/v2/chat", data=orjson.dumps(body), headers=given) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            raw = gzip.decompress(await response.read())

    answer = assemble(events_in(raw)) if "stream" in body else orjson.loads(raw)
    assert answer["finish_reason"] == "COMPLETE"


@pytest.mark.parametrize("malformed", ["syntax", "utf8"])
async def test_a_body_and_an_event_are_no_json(local: Local, malformed: str) -> None:
    await local.queue(malformed=malformed, times=2)
    unary = await local.chat()
    raw = b"".join(await local.pieces(STREAM))

    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(unary.raw)
    with pytest.raises(orjson.JSONDecodeError):
        events_in(raw)
    assert raw.endswith(b"data: [DONE]\n\n")


async def test_a_body_and_an_event_have_wrong_types(local: Local) -> None:
    await local.queue(malformed="types", times=2)
    unary = (await local.chat()).json
    events = events_in(b"".join(await local.pieces(STREAM)))

    assert unary == {"id": 7, "message": 7, "finish_reason": 7, "usage": 7}
    assert [event["type"] for event in events if event.get("delta") == 7] == ["content-delta"]


@pytest.mark.parametrize(
    ("usage", "units"),
    [
        ("null", None),
        ("negative", {"input_tokens": -2, "output_tokens": -10}),
        ("nan", {"input_tokens": "NaN", "output_tokens": "NaN"}),
        ("fractional", {"input_tokens": 1.5, "output_tokens": 9.5}),
        ("huge", {"input_tokens": 10**18 + 1, "output_tokens": 10**18 + 9}),
    ],
)
async def test_a_wrong_usage_does_not_change_the_bill(local: Local, usage: str, units: Any) -> None:
    await local.queue(usage=usage, times=2)
    unary = (await local.chat()).json
    (end,) = [event for event in events_in((await local.chat(stream=True)).raw) if event["type"] == "message-end"]

    assert unary["usage"]["billed_units"] == end["delta"]["usage"]["billed_units"] == units
    assert await local.cost_nanos() == 2 * CHAT_COST_NANOS


async def test_usage_is_missing_wherever_it_stands(local: Local) -> None:
    await local.queue(usage="missing", times=3)
    chat = (await local.chat()).json
    end = events_in((await local.chat(stream=True)).raw)[-1]
    embedded = (await local.ask("POST", "/v2/embed", EMBED)).json

    assert "usage" not in chat
    assert end["delta"] == {"finish_reason": "COMPLETE"}
    assert embedded["meta"] == {"api_version": {"version": "2"}}
    assert await local.cost_nanos() > 0


async def test_a_failure_is_told_in_band(local: Local) -> None:
    await local.queue(in_band_error="INVALID_TOOL_GENERATION", times=2)
    unary = await local.chat()
    events = events_in((await local.chat(stream=True)).raw)

    assert unary.status == 200
    for told in (unary.json, events[-1]["delta"]):
        assert (told["finish_reason"], told["usage"]) == ("ERROR", {})
        assert told["error_type"] == "INVALID_TOOL_GENERATION"
        assert told["error"]
    assert "content-end" not in {event["type"] for event in events}
    assert await local.cost_nanos() == 2 * CHAT_COST_NANOS


async def test_base64_differs_from_the_floats_or_is_missing(local: Local) -> None:
    body = {**EMBED, "embedding_types": ["float", "base64"]}
    right = (await local.ask("POST", "/v2/embed", body)).json["embeddings"]
    await local.queue(base64="wrong_endian")
    wrong = (await local.ask("POST", "/v2/embed", body)).json["embeddings"]
    await local.queue(base64="missing")
    missing = (await local.ask("POST", "/v2/embed", body)).json["embeddings"]

    assert wrong["float"] == right["float"] == missing["float"]
    for swapped, straight in zip(wrong["base64"], right["base64"], strict=True):
        raw = base64.b64decode(swapped)
        turned = b"".join(raw[place : place + 4][::-1] for place in range(0, len(raw), 4))
        assert turned == base64.b64decode(straight)
        assert raw != turned
    assert "base64" not in missing


async def test_an_answer_is_padded(local: Local) -> None:
    await local.queue(padding_bytes=3_000_000, times=2)
    unary = await local.chat()
    streamed = await local.chat(stream=True)

    assert len(unary.raw) > 3_000_000
    assert unary.json["finish_reason"] == "COMPLETE"
    assert max(len(orjson.dumps(event)) for event in events_in(streamed.raw)) > 3_000_000

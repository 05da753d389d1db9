"""Cohere's own SDK, sync and async, takes the sandbox for Cohere."""

import base64
import json
import logging
import struct
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import cohere
import pytest
from cohere.core.api_error import ApiError

from clients.sandbox import Fault, Sandbox
from tests.conformance.sandbox_sdk import Sdk
from tests.unit.sandbox.pictures import PNG_URI

# The SDK parses unions by deprecated means of pydantic.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

QUESTION = [{"role": "user", "content": "What colour is the sky?"}]
WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}
DOCUMENTS: list[Any] = [
    "Grass is green. It grows.",
    {"id": "sky", "data": {"text": "The sky is blue, at 21 °C. Seen."}},
]


@pytest.fixture(params=["sync", "async"])
async def sdk(request: pytest.FixtureRequest) -> AsyncIterator[Sdk]:
    sandbox = Sandbox()
    async with sandbox.serve() as url:
        sdk = Sdk(sandbox, url, "sandbox-production", synchronous=request.param == "sync")
        yield sdk
        await sdk.close()


async def test_a_chat_is_parsed_whole(sdk: Sdk) -> None:
    answer = await sdk.ask(sdk.client.chat, model="command-a-03-2025", messages=QUESTION, logprobs=True)

    assert answer.finish_reason == "COMPLETE"
    assert "sky" in answer.message.content[0].text
    assert "".join(item.text for item in answer.logprobs) == answer.message.content[0].text
    assert answer.usage.billed_units.input_tokens < answer.usage.tokens.input_tokens


async def test_documents_come_back_cited(sdk: Sdk) -> None:
    answer = await sdk.ask(sdk.client.chat, model="command-r-08-2024", messages=QUESTION, documents=DOCUMENTS)

    (citation,) = answer.message.citations
    assert answer.message.content[0].text[citation.start : citation.end] == citation.text
    assert citation.sources[0].type == "document"
    assert citation.sources[0].document == {"id": "sky", "text": "The sky is blue, at 21 °C. Seen."}


async def test_a_tool_is_called_and_its_output_cited(sdk: Sdk) -> None:
    conversation: list[Any] = [{"role": "user", "content": "What is the weather in Toronto?"}]
    arguments: dict[str, Any] = {"model": "command-a-03-2025", "tools": [WEATHER_TOOL]}
    called = await sdk.ask(sdk.client.chat, messages=conversation, tool_choice="REQUIRED", **arguments)
    (call,) = called.message.tool_calls
    conversation += [
        called.message,
        {"role": "tool", "tool_call_id": call.id, "content": '{"weather": "sunny", "celsius": 20}'},
    ]
    answered = await sdk.ask(sdk.client.chat, messages=conversation, **arguments)

    assert called.finish_reason == "TOOL_CALL"
    assert called.message.tool_plan
    assert call.function.name == "get_weather"
    assert call.function.arguments == '{"city":"Toronto","days":1}'
    (citation,) = answered.message.citations
    assert citation.sources[0].tool_output == {"weather": "sunny", "celsius": 20}
    assert citation.sources[0].id == f"{call.id}:0"


async def test_json_fits_the_schema(sdk: Sdk) -> None:
    json_schema = WEATHER_TOOL["function"]["parameters"]
    answer = await sdk.ask(
        sdk.client.chat,
        model="command-a-03-2025",
        messages=[{"role": "user", "content": "Sunny for 3 days in Rome"}],
        response_format={"type": "json_object", "json_schema": json_schema},
    )

    assert json.loads(answer.message.content[0].text) == {"city": "Rome", "days": 3}


async def test_a_reasoning_model_thinks_first(sdk: Sdk) -> None:
    answer = await sdk.ask(sdk.client.chat, model="command-a-reasoning-08-2025", messages=QUESTION)
    silent = await sdk.ask(
        sdk.client.chat, model="command-a-reasoning-08-2025", messages=QUESTION, thinking={"type": "disabled"}
    )

    assert [block.type for block in answer.message.content] == ["thinking", "text"]
    assert [block.type for block in silent.message.content] == ["text"]


async def test_the_sdk_knows_every_event_of_every_stream(sdk: Sdk, caplog: pytest.LogCaptureFixture) -> None:
    requests: list[dict[str, Any]] = [
        {"model": "command-a-03-2025", "messages": QUESTION, "documents": DOCUMENTS, "logprobs": True},
        {"model": "command-a-plus-05-2026", "messages": QUESTION, "documents": DOCUMENTS},
        {"model": "command-a-03-2025", "messages": QUESTION, "tools": [WEATHER_TOOL], "tool_choice": "REQUIRED"},
        {"model": "command-a-plus-05-2026", "messages": QUESTION, "tools": [WEATHER_TOOL], "tool_choice": "REQUIRED"},
    ]
    seen: Counter[str] = Counter()
    for arguments in requests:
        with caplog.at_level(logging.WARNING):
            events = await sdk.stream(**arguments)
        assert events[0].type == "message-start"
        assert events[-1].type == "message-end"
        assert events[-1].delta.usage.billed_units.output_tokens > 0
        seen.update(event.type for event in events)

    print(dict(seen))
    assert set(seen) == {
        "message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start",
        "tool-call-delta", "tool-call-end", "citation-start", "citation-end", "message-end",
    }  # fmt: skip
    assert seen["content-start"] == seen["content-end"]
    assert not [record for record in caplog.records if record.name == "root"]


async def test_a_stream_says_what_the_unary_answer_says(sdk: Sdk) -> None:
    arguments: dict[str, Any] = {"model": "command-a-plus-05-2026", "messages": QUESTION, "documents": DOCUMENTS}
    unary = await sdk.ask(sdk.client.chat, **arguments)
    events = await sdk.stream(**arguments)

    deltas = [event.delta.message.content for event in events if event.type == "content-delta"]
    assert "".join(delta.thinking or "" for delta in deltas) == unary.message.content[0].thinking
    assert "".join(delta.text or "" for delta in deltas) == unary.message.content[1].text
    assert [event.delta.message.citations for event in events if event.type == "citation-start"] == (
        unary.message.citations
    )
    assert events[-1].delta.usage == unary.usage


async def test_texts_are_embedded_in_every_type(sdk: Sdk) -> None:
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    answer = await sdk.ask(
        sdk.client.embed,
        model="embed-v4.0",
        input_type="search_document",
        texts=["red wine", "white wine"],
        embedding_types=types,
        output_dimension=256,
    )

    made = answer.embeddings
    assert [len(row) for row in made.float_] == [256, 256]
    for row, text in zip(made.float_, made.base64, strict=True):
        assert struct.pack("<256f", *row) == base64.b64decode(text)
    assert all(-128 <= value <= 127 for value in made.int8[0])
    assert [value + 128 for value in made.int8[0]] == made.uint8[0]
    assert len(made.binary[0]) == len(made.ubinary[0]) == 256 // 8
    assert [value + 128 for value in made.binary[0]] == made.ubinary[0]
    assert answer.meta.billed_units.input_tokens == 4


async def test_images_and_mixed_inputs_are_embedded(sdk: Sdk) -> None:
    common = {"model": "embed-v4.0", "input_type": "search_document", "embedding_types": ["float"]}
    alone = await sdk.ask(sdk.client.embed, images=[PNG_URI], **common)
    mixed = [
        {"content": [{"type": "text", "text": "wine"}, {"type": "image_url", "image_url": {"url": PNG_URI}}]},
        {"content": [{"type": "text", "text": "wine"}]},
    ]
    together = await sdk.ask(sdk.client.embed, inputs=mixed, **common)

    assert (alone.images[0].width, alone.images[0].height, alone.images[0].format) == (3, 2, "png")
    assert alone.meta.billed_units.image_tokens > 0
    assert len(together.embeddings.float_) == 2
    assert together.embeddings.float_[0] != together.embeddings.float_[1]


async def test_documents_are_reranked_with_spans(sdk: Sdk) -> None:
    answer = await sdk.ask(
        sdk.client.rerank,
        model="rerank-v5.0-pro",
        query="blue sky",
        documents=["Green grass.", "Clouds. A blue sky.", "The sky."],
        top_n=2,
        relevant_spans={"mode": "enabled"},
    )

    assert [result.index for result in answer.results] == [1, 2]
    span = answer.results[0].relevant_spans[0]
    assert "Clouds. A blue sky."[span.start : span.end] == "A blue sky."
    assert answer.meta.billed_units.input_tokens > 0


async def test_the_key_is_checked(sdk: Sdk) -> None:
    answer = await sdk.ask(sdk.client.with_raw_response.check_api_key)

    assert answer.data.valid is True
    assert answer.data.organization_id == "sandbox-organization"
    assert answer.data.owner_id


async def test_models_are_listed_page_by_page_and_alone(sdk: Sdk) -> None:
    first = await sdk.ask(sdk.client.models.list, endpoint="rerank", page_size=4)
    second = await sdk.ask(sdk.client.models.list, endpoint="rerank", page_size=4, page_token=first.next_page_token)
    alone = await sdk.ask(sdk.client.models.get, model="command-a-03-2025")

    names = [model.name for page in (first, second) for model in page.models]
    assert len(names) == len(set(names)) == 7
    assert all(name.startswith("rerank") for name in names)
    assert second.next_page_token is None
    assert alone.sampling_defaults.temperature == pytest.approx(0.3)


async def test_headers_tell_the_trace_and_the_tokens(sdk: Sdk) -> None:
    answer = await sdk.ask(sdk.client.with_raw_response.chat, model="command-a-03-2025", messages=QUESTION)

    units = answer.data.usage.billed_units
    assert len(answer.headers["x-debug-trace-id"]) == 32
    assert int(answer.headers["num_tokens"]) == units.input_tokens + units.output_tokens
    assert "x-trial-endpoint-call-limit" not in answer.headers


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, cohere.BadRequestError), (401, cohere.UnauthorizedError), (402, ApiError),
        (403, cohere.ForbiddenError), (404, cohere.NotFoundError), (408, ApiError), (409, ApiError),
        (413, ApiError), (422, cohere.UnprocessableEntityError), (429, cohere.TooManyRequestsError),
        (498, cohere.InvalidTokenError), (499, cohere.ClientClosedRequestError),
        (500, cohere.InternalServerError), (501, cohere.NotImplementedError), (502, ApiError),
        (503, cohere.ServiceUnavailableError), (504, cohere.GatewayTimeoutError), (520, ApiError),
    ],
)  # fmt: skip
async def test_each_status_becomes_the_sdks_own_error(sdk: Sdk, status: int, error_class: type[ApiError]) -> None:
    sdk.sandbox.state.faults.add([Fault(status=status, error_type="WHY" if status == 422 else "")])
    with pytest.raises(ApiError) as caught:
        await sdk.ask(sdk.client.chat, model="command-a-03-2025", messages=QUESTION)

    assert type(caught.value) is error_class
    assert caught.value.status_code == status
    assert caught.value.body["message"]
    assert caught.value.body.get("error_type") == ("WHY" if status == 422 else None)


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("sandbox-expired", 401), ("sandbox-no-billing", 402), ("sandbox-forbidden", 403),
        ("sandbox-rate-limited", 429), ("sandbox-monthly-cap", 429), ("never-issued", 401),
    ],
)  # fmt: skip
async def test_a_key_in_a_bad_state_is_refused(key: str, status: int) -> None:
    sandbox = Sandbox()
    async with sandbox.serve() as url:
        sdk = Sdk(sandbox, url, key, synchronous=False)
        with pytest.raises(ApiError) as caught:
            await sdk.ask(sdk.client.chat, model="command-a-03-2025", messages=QUESTION)
        await sdk.close()

    assert caught.value.status_code == status
    assert ("/ month" in caught.value.body["message"]) == (key == "sandbox-monthly-cap")
    assert sandbox.state.bill.described()["cost_nanos"] == 0

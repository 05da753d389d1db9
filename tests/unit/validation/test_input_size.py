"""The bound of the input: never below its bytes, and not far above."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from hypothesis import given

from cohort.v1.chat_pb2 import ChatRequest, ImageUrl
from cohort.v1.embed_pb2 import EmbedRequest
from service.validation import input_bytes
from service.validation.input_size import IMAGE_TOKENS_MAX, PART_OVERHEAD_BYTES
from tests.unit.validation.message_rows import CALL, PNG
from tests.unit.validation.strategies import VALID_CHATS, VALID_REQUESTS
from tests.unit.validation.tables import AnyRequest, Members, chat, embed, rerank

LONG = "\u00e9" * 5_000
LONG_JSON = '{"a": "' + LONG + '"}'
PLACES_OF_CHAT: dict[str, Members] = {
    "text": {"messages": [{"role": "user", "text": LONG}]},
    "block": {"messages": [{"role": "user", "content": [{"text": LONG}]}]},
    "thinking": {"messages": [{"role": "assistant", "content": [{"thinking": LONG}]}]},
    "younger block": {"messages": [{"role": "user", "content": [{"other_json": LONG_JSON}]}]},
    "tool plan": {"messages": [{"role": "assistant", "tool_plan": LONG}]},
    "arguments": {"messages": [{"role": "assistant", "tool_calls": [CALL | {"function": {"arguments": LONG}}]}]},
    "citation": {"messages": [{"role": "assistant", "citations": [{"sources": [{"document_json": LONG_JSON}]}]}]},
    "tool result": {"messages": [{"role": "tool", "content": [{"document": {"data_json": LONG_JSON}}]}]},
    "tool": {"tools": [{"function": {"name": "f", "description": LONG}}]},
    "parameters": {"tools": [{"function": {"name": "f", "parameters_json": LONG_JSON}}]},
    "document": {"documents": [{"data_json": LONG_JSON}]},
    "document of text": {"documents": [{"text": LONG}]},
    "schema": {"response_format": {"type": "json_object", "json_schema": LONG_JSON}},
}


@given(VALID_REQUESTS)
def test_the_bound_is_never_below_the_bytes_of_all_texts(request: AnyRequest) -> None:
    assert input_bytes(request) >= sum(len(text.encode()) for text in _texts(request))


@given(VALID_CHATS)
def test_a_longer_message_raises_the_bound_by_at_least_its_bytes(request: ChatRequest) -> None:
    before = input_bytes(request)
    request.messages.add(role="user", text="\U0001f600" * 100)

    assert input_bytes(request) >= before + 400 + PART_OVERHEAD_BYTES


@given(VALID_REQUESTS)
def test_the_bound_changes_nothing_and_is_the_same_again(request: AnyRequest) -> None:
    before = request.SerializeToString(deterministic=True)

    assert input_bytes(request) == input_bytes(request)
    assert request.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("place", PLACES_OF_CHAT)
def test_a_text_counts_wherever_it_stands(place: str) -> None:
    assert (
        10_000
        <= input_bytes(chat(PLACES_OF_CHAT[place]))
        <= 10_000 + 200 + IMAGE_TOKENS_MAX * (place == "younger block")
    )


def test_a_short_chat_has_a_small_bound() -> None:
    assert input_bytes(chat({})) == chat({}).ByteSize() + PART_OVERHEAD_BYTES == 47


def test_an_image_of_chat_counts_as_published_however_long_its_url() -> None:
    short, long = (
        input_bytes(chat({"messages": [{"role": "user", "content": [{"image_url": {"url": url}}]}]}))
        for url in (PNG, "data:image/png;base64," + "AAAA" * 100_000)
    )

    assert IMAGE_TOKENS_MAX == 3_328
    assert short == IMAGE_TOKENS_MAX + 2 * PART_OVERHEAD_BYTES + 29
    assert short <= long <= short + 5


def test_an_image_of_embed_counts_as_one_of_chat() -> None:
    long = "data:image/png;base64," + "AAAA" * 100_000
    alone = input_bytes(embed({"texts": [], "images": [long, PNG]}))
    mixed = input_bytes(embed({"texts": [], "inputs": [{"content": [{"image_url": {"url": long}}, {"text": LONG}]}]}))

    assert alone == 2 * IMAGE_TOKENS_MAX + 35
    assert IMAGE_TOKENS_MAX + 10_000 <= mixed <= IMAGE_TOKENS_MAX + 10_100


def test_texts_of_embed_count_each() -> None:
    request = embed({"texts": [LONG] * 96})

    assert 960_000 <= input_bytes(request) <= 960_000 + 96 * (PART_OVERHEAD_BYTES + 4) + 50


def test_a_rerank_counts_the_query_once_and_every_document() -> None:
    request = rerank({"query": LONG, "documents": [LONG] * 3})

    assert 40_000 <= input_bytes(request) <= 40_100


def _texts(message: Message) -> Iterator[str]:
    """All strings that *message* holds, but for those of images."""
    for field, value in message.ListFields():
        if isinstance(value, ImageUrl) or (isinstance(message, EmbedRequest) and field.name == "images"):
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                yield from _texts(item)
            elif isinstance(item, str):
                yield item

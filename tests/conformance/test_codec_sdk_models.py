"""Answers: what Cohort decodes says what the models of Cohere's SDK say, field by field."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.codec import chat, embed, rerank, stream
from clients.codec.embed import FloatsAs
from cohort.v1.chat_pb2 import ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.rerank_pb2 import RerankResponse
from tests.conformance import answer_examples, json_values
from tests.conformance.answer_strategies import Answers
from tests.conformance.cohere_sdk import CohereSdk, cohere_sdk
from tests.conformance.fields import fields_of, fields_set
from tests.conformance.sdk_models import assert_equal, assert_event_equal

DOCUMENTED = Answers(odd=False)
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]

# Cohort's own; fields of messages that answers share with requests; and what only unknown kinds set.
NOT_IN_ANSWERS = {
    "cohort.v1.ChatResponse.receipt",
    "cohort.v1.MessageEnd.receipt",
    "cohort.v1.EmbedResponse.receipt",
    "cohort.v1.RerankResponse.receipt",
    "cohort.v1.ChatMessage.text",
    "cohort.v1.ChatMessage.tool_call_id",
    "cohort.v1.ContentBlock.image_url",
    "cohort.v1.ContentBlock.document",
    "cohort.v1.ContentBlock.other_json",
    "cohort.v1.Source.other_json",
    "cohort.v1.ChatStreamResponse.other_json",
}


@pytest.fixture(scope="module")
def sdk() -> Iterator[CohereSdk]:
    with cohere_sdk() as sdk:
        yield sdk


def test_a_chat_answer_reads_as_in_the_sdk(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None)
    @example(answer_examples.CHAT)
    @given(DOCUMENTED.chats())
    def check(answer: dict[str, Any]) -> None:
        body, response = orjson.dumps(answer), ChatResponse()
        chat.decode(body, response)

        assert_equal(sdk.parsed("chat", body), response)
        exercised.update(fields_set(response))

    check()
    _assert_all("chat", exercised, fields_of(ChatResponse.DESCRIPTOR, without=NOT_IN_ANSWERS))


def test_stream_events_read_as_in_the_sdk(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None, max_examples=40)
    @example(answer_examples.EVENTS)
    @given(st.tuples(*(DOCUMENTED.events(kind) for kind in json_values.EVENTS)))
    def check(bodies: tuple[dict[str, Any], ...]) -> None:
        lines = [orjson.dumps(body) for body in bodies]
        events = [ChatStreamResponse() for _ in lines]
        for line, event in zip(lines, events, strict=True):
            stream.decode_event(line, event)

        models = sdk.events(b"".join(b"data: " + line + b"\n\n" for line in lines) + b"data: [DONE]\n\n")
        assert len(models) == len(events)
        for model, event in zip(models, events, strict=True):
            assert_event_equal(model, event)
            exercised.update(fields_set(event))

    check()
    _assert_all("stream", exercised, fields_of(ChatStreamResponse.DESCRIPTOR, without=NOT_IN_ANSWERS))


def test_an_embed_answer_reads_as_in_the_sdk(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None)
    @example(answer_examples.EMBED)
    @given(DOCUMENTED.embeds(TYPES))
    def check(answer: dict[str, Any]) -> None:
        body, response = orjson.dumps(answer), EmbedResponse()
        embed.decode(body, response, request=EmbedRequest(embedding_types=TYPES), floats_as=FloatsAs.FLOAT)

        assert_equal(sdk.parsed("embed", body), response)
        exercised.update(fields_set(response))

    check()
    _assert_all("embed", exercised, fields_of(EmbedResponse.DESCRIPTOR, without=NOT_IN_ANSWERS))


def test_a_rerank_answer_reads_as_in_the_sdk(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None)
    @example(answer_examples.RERANK)
    @given(DOCUMENTED.reranks())
    def check(answer: dict[str, Any]) -> None:
        body, response = orjson.dumps(answer), RerankResponse()
        rerank.decode(body, response)

        assert_equal(sdk.parsed("rerank", body), response)
        exercised.update(fields_set(response))

    check()
    _assert_all("rerank", exercised, fields_of(RerankResponse.DESCRIPTOR, without=NOT_IN_ANSWERS))


def _assert_all(endpoint: str, exercised: set[str], fields: set[str]) -> None:
    print(f"{endpoint}: answer fields exercised {len(exercised & fields)}/{len(fields)}")
    assert exercised == fields

"""Recorded traffic: every body and event comes back as it was, and reads as in Cohere's SDK."""

import array
import json
from collections.abc import Iterator
from typing import Any

import pytest

from clients.codec import chat, embed, rerank, stream
from clients.codec.embed import FloatsAs
from cohort.v1.chat_pb2 import ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.rerank_pb2 import RerankResponse
from tests.conformance import json_values
from tests.conformance.answer_json import chat_json, embed_json, event_json, rerank_json
from tests.conformance.cohere_sdk import CohereSdk, cohere_sdk
from tests.conformance.json_values import assert_same, canonical
from tests.conformance.recordings import Recording, recordings
from tests.conformance.sdk_models import assert_equal, assert_event_equal
from tests.shared_notes import requires_shared

pytestmark = requires_shared

ANSWERED = [recording for recording in recordings() if recording.status == 200]
UNARY = [recording for recording in ANSWERED if not recording.is_stream]
STREAMS = [recording for recording in ANSWERED if recording.is_stream]


@pytest.fixture(scope="module")
def sdk() -> Iterator[CohereSdk]:
    with cohere_sdk() as sdk:
        yield sdk


def _name(recording: Recording) -> str:
    return recording.name


def test_the_recordings_hold_all_endpoints_and_a_stream() -> None:
    assert {recording.path for recording in UNARY} == {"/v2/chat", "/v2/embed", "/v2/rerank"}
    assert STREAMS


@pytest.mark.parametrize("recording", UNARY, ids=_name)
def test_a_recorded_answer_comes_back_as_it_was_and_reads_as_in_the_sdk(recording: Recording, sdk: CohereSdk) -> None:
    answer, rebuilt, shape = _decoded(recording)

    body = _float32(json.loads(recording.body))
    assert_same(canonical(rebuilt, shape), canonical(body, shape))
    assert_equal(sdk.parsed(recording.path.removeprefix("/v2/"), json.dumps(body).encode()), answer)


@pytest.mark.parametrize("recording", STREAMS, ids=_name)
def test_a_recorded_stream_comes_back_as_it_was_and_reads_as_in_the_sdk(recording: Recording, sdk: CohereSdk) -> None:
    events = []
    for data in recording.events:
        event = ChatStreamResponse()
        stream.decode_event(data, event)
        body = json.loads(data)
        shape = json_values.EVENTS[body["type"]]
        assert_same(canonical(event_json(event), shape), canonical(body, shape))
        events.append(event)

    models = sdk.events(recording.body)
    assert len(models) == len(events)
    for model, event in zip(models, events, strict=True):
        assert_event_equal(model, event)
    print(f"{recording.name}: {len(events)} events")
    assert events[-1].HasField("message_end")
    assert not any(event.extra_json for event in events)


def _decoded(recording: Recording) -> tuple[Any, dict[str, Any], Any]:
    """The answer as a message, the JSON it came back as, and what of that is documented."""
    match recording.path:
        case "/v2/chat":
            chat_response = ChatResponse()
            chat.decode(recording.body, chat_response)
            return chat_response, chat_json(chat_response), json_values.CHAT
        case "/v2/rerank":
            rerank_response = RerankResponse()
            rerank.decode(recording.body, rerank_response)
            return rerank_response, rerank_json(rerank_response), json_values.RERANK
    embed_response, request = EmbedResponse(), EmbedRequest()
    embed.decode(recording.body, embed_response, request=request, floats_as=FloatsAs.FLOAT)
    return embed_response, embed_json(embed_response), json_values.EMBED


def _float32(answer: dict[str, Any]) -> dict[str, Any]:
    """*answer* with its embeddings as the float32 they are, which is how they compare."""
    floats = answer.get("embeddings", {}).get("float")
    if floats:
        answer["embeddings"]["float"] = [array.array("f", vector).tolist() for vector in floats]
    return answer

"""JSON → proto → JSON: nothing of an answer is lost."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.codec import chat, embed, rerank, stream
from clients.codec.embed import FloatsAs
from cohort.v1.chat_pb2 import ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.rerank_pb2 import RerankResponse
from tests.conformance import json_values
from tests.conformance.answer_json import chat_json, embed_json, event_json, rerank_json
from tests.conformance.answer_strategies import Answers, in_base64, json_objects
from tests.conformance.json_values import assert_same, canonical

ANY = Answers(odd=True)
TYPES = st.lists(st.sampled_from(("float", "int8", "uint8", "binary", "ubinary", "base64")), min_size=1, unique=True)


@settings(deadline=None)
@given(ANY.chats())
def test_a_chat_answer_comes_back_as_it_was(answer: dict[str, Any]) -> None:
    response = ChatResponse()
    chat.decode(orjson.dumps(answer), response)

    assert_same(*_both(chat_json(response), answer, json_values.CHAT))


@pytest.mark.parametrize("kind", json_values.EVENTS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_stream_event_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    body = data.draw(ANY.events(kind))
    event = ChatStreamResponse()
    stream.decode_event(orjson.dumps(body), event)

    assert not event.HasField("other_json")
    assert_same(*_both(event_json(event), body, json_values.EVENTS[kind]))


@settings(deadline=None)
@given(json_objects.filter(lambda body: body.get("type") not in list(json_values.EVENTS)))
def test_an_event_of_an_unknown_type_is_kept_whole(body: dict[str, Any]) -> None:
    event = ChatStreamResponse()
    stream.decode_event(orjson.dumps(body), event)

    assert event.other_json.encode() == orjson.dumps(body)


@settings(deadline=None)
@given(ANY.reranks())
def test_a_rerank_answer_comes_back_as_it_was(answer: dict[str, Any]) -> None:
    response = RerankResponse()
    rerank.decode(orjson.dumps(answer), response)

    assert_same(*_both(rerank_json(response), answer, json_values.RERANK))


@settings(deadline=None)
@given(TYPES.flatmap(lambda types: st.tuples(st.just(types), ANY.embeds(types))), st.sampled_from(FloatsAs))
def test_an_embed_answer_comes_back_as_it_was(case: tuple[list[str], dict[str, Any]], floats_as: FloatsAs) -> None:
    types, answer = case
    answer = copy.deepcopy(answer)
    vectors = answer["embeddings"]
    if "float" in types and "base64" in types:
        vectors["base64"] = in_base64(vectors["float"])
    sent = copy.deepcopy(answer)
    if "float" in types and floats_as is not FloatsAs.FLOAT:
        sent["embeddings"]["base64"] = in_base64(vectors["float"])
        if floats_as is FloatsAs.BASE64:
            del sent["embeddings"]["float"]

    response = EmbedResponse()
    request = EmbedRequest(embedding_types=types)
    equal = embed.decode(orjson.dumps(sent), response, request=request, floats_as=floats_as)

    assert equal
    assert_same(*_both(embed_json(response), answer, json_values.EMBED))


def _both(actual: Any, expected: Any, shape: Any) -> tuple[Any, Any]:
    return canonical(actual, shape), canonical(expected, shape)

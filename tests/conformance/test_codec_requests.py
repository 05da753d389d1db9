"""Requests: the JSON Cohort sends is what Cohere's SDK sends for the same arguments.

Two rewrites apart: `max_tokens` is filled in, which happens before the codec, and `float` is asked for as
`base64`. The order of members is free. The bodies of the SDK are caught by an HTTP server on the loopback.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.codec import chat, embed, rerank
from clients.codec.embed import FloatsAs
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest
from cohort.v1.rerank_pb2 import RelevantSpansOptions, RerankRequest
from tests.conformance import request_examples
from tests.conformance.cohere_sdk import CohereSdk, cohere_sdk
from tests.conformance.fields import fields_of, fields_set
from tests.conformance.json_values import assert_same
from tests.conformance.request_strategies import chat_requests, embed_requests, rerank_requests
from tests.conformance.sdk_arguments import chat_arguments, embed_arguments, rerank_arguments


@pytest.fixture(scope="module")
def sdk() -> Iterator[CohereSdk]:
    with cohere_sdk() as sdk:
        yield sdk


def test_a_chat_request_is_sent_as_the_sdk_sends_it(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None)
    @example(request=request_examples.CHAT, stream=True)
    @given(request=chat_requests, stream=st.booleans())
    def check(request: ChatRequest, *, stream: bool) -> None:
        arguments = chat_arguments(request)
        expected = sdk.sent_for_stream(**arguments) if stream else sdk.sent("chat", **arguments)

        assert_same(json.loads(chat.encode(request, stream=stream)), json.loads(expected))
        exercised.update(fields_set(request))

    check()
    _assert_all("chat", exercised, fields_of(ChatRequest.DESCRIPTOR))


def test_an_embed_request_is_sent_as_the_sdk_sends_it(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None)
    @example(request_examples.EMBEDS[0])
    @example(request_examples.EMBEDS[1])
    @example(request_examples.EMBEDS[2])
    @given(embed_requests)
    def check(request: EmbedRequest) -> None:
        expected = json.loads(sdk.sent("embed", **embed_arguments(request)))

        assert_same(json.loads(embed.encode(request, floats_as=FloatsAs.FLOAT)), expected)
        for floats_as in (FloatsAs.BASE64, FloatsAs.BOTH):
            sent = json.loads(embed.encode(request, floats_as=floats_as))
            asked = _rewritten(expected.get("embedding_types"), floats_as)
            assert_same(sent, {**expected, "embedding_types": asked})
        exercised.update(fields_set(request))

    check()
    own = {field.full_name for type_ in (EmbedRequest, EmbedInput) for field in type_.DESCRIPTOR.fields}
    _assert_all("embed", exercised & own, own)


def test_a_rerank_request_is_sent_as_the_sdk_sends_it(sdk: CohereSdk) -> None:
    exercised: set[str] = set()

    @settings(deadline=None)
    @example(request_examples.RERANK)
    @given(rerank_requests)
    def check(request: RerankRequest) -> None:
        expected = sdk.sent("rerank", **rerank_arguments(request))

        assert_same(json.loads(rerank.encode(request)), json.loads(expected))
        exercised.update(fields_set(request))

    check()
    own = {field.full_name for type_ in (RerankRequest, RelevantSpansOptions) for field in type_.DESCRIPTOR.fields}
    _assert_all("rerank", exercised, own)


def test_free_form_json_is_sent_byte_for_byte() -> None:
    text = '{ "z" : 1.50, "a": 123456789012345678901234567890, "\\u00e9": null }'
    request = ChatRequest(model="command")
    request.tools.add().function.parameters_json = text
    request.documents.add(data_json=text)

    assert chat.encode(request, stream=False).count(text.encode()) == 2


def _rewritten(types: Any, floats_as: FloatsAs) -> list[str]:
    """The rewrite as it is documented: float, which nothing stands for as well, is asked for as base64."""
    asked = types or ["float"]
    if "float" not in asked:
        return list(asked)
    if floats_as is FloatsAs.BOTH:
        return [*asked, *(["base64"] if "base64" not in asked else [])]
    first = asked.index("float")
    if "base64" in asked[:first]:
        return [name for name in asked if name != "float"]
    return [*asked[:first], "base64", *(name for name in asked[first + 1 :] if name != "base64")]


def _assert_all(endpoint: str, exercised: set[str], fields: set[str]) -> None:
    print(f"{endpoint}: request fields exercised {len(exercised & fields)}/{len(fields)}")
    assert exercised == fields

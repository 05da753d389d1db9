"""The sandbox writes a bill of its own: no hold is below it, and every cost equals it."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings

from clients.codec.chat import encode as encode_chat
from clients.codec.embed import FloatsAs
from clients.codec.embed import encode as encode_embed
from clients.codec.rerank import encode as encode_rerank
from clients.sandbox import chat as sandbox_chat
from clients.sandbox import embed as sandbox_embed
from clients.sandbox import rerank as sandbox_rerank
from clients.sandbox.answer import Answer
from clients.sandbox.bill import Bill
from clients.sandbox.errors import CohereError
from clients.sandbox.models import MODELS
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from cohort.v1.usage_pb2 import BilledUnits
from service.pricing import ModelPrice, cost_nanos, worst_case_nanos
from service.validation import input_bytes
from tests.unit.pricing.books import priced_as_the_sandbox
from tests.unit.pricing.strategies import CHATS, EMBEDS, RERANKS
from tests.unit.sandbox.pictures import PNG_URI
from tests.unit.validation.tables import AnyRequest, Members, chat, embed, found_in, rerank

BOOK = priced_as_the_sandbox()
OF_THE_SANDBOX = settings(deadline=None)
"""Most of the time is spent in its models."""


def price_of(request: AnyRequest) -> ModelPrice:
    price = BOOK.price_of(request.model)
    assert price is not None
    return price


def answered(request: AnyRequest, *, stream: bool = False) -> Answer | None:
    """The sandbox's answer to what is sent for *request*; None if it refuses."""
    work: Callable[[Any, str], Answer]
    if isinstance(request, ChatRequest):
        work, body = sandbox_chat.answer, encode_chat(request, stream=stream)
    elif isinstance(request, EmbedRequest):
        work, body = sandbox_embed.answer, encode_embed(request, floats_as=FloatsAs.BASE64)
    else:
        work, body = sandbox_rerank.answer, encode_rerank(request)
    try:
        return work(orjson.loads(body), "id")
    except CohereError:
        return None


def billed(request: AnyRequest, units: dict[str, int]) -> int:
    """What the sandbox bills for *units*, which is what they cost by our book, too."""
    nanos = Bill().charge("key", request.model, units, path="", request={}, fault=[], trace_id="")
    assert cost_nanos(price_of(request), BilledUnits(**units)) == nanos
    return nanos


def bills(request: AnyRequest) -> list[int]:
    """What the sandbox bills: for its answer, and for a stream that goes on until it may not; [] if it refuses."""
    answer = answered(request)
    if answer is None:
        return []
    found = [billed(request, answer.billed_units)]
    if isinstance(request, ChatRequest):
        streamed = answered(request, stream=True)
        assert streamed is not None
        assert streamed.billed_units == answer.billed_units
        found.append(billed(request, streamed.endless_units))
    return found


def assert_held(request: AnyRequest) -> None:
    assert found_in(request) == []
    found = bills(request)
    assume(found)
    assert max(found) <= worst_case_nanos(price_of(request), request)


@OF_THE_SANDBOX
@given(CHATS)
def test_the_hold_of_a_chat_is_never_below_its_bill(request: ChatRequest) -> None:
    assert_held(request)


@OF_THE_SANDBOX
@given(EMBEDS)
def test_the_hold_of_an_embed_is_never_below_its_bill(request: EmbedRequest) -> None:
    assert_held(request)


@OF_THE_SANDBOX
@given(RERANKS)
def test_the_hold_of_a_rerank_is_never_below_its_bill(request: RerankRequest) -> None:
    assert_held(request)


@pytest.mark.parametrize(
    "members",
    [
        {"documents": [{"data_json": '{"a":[' + ",".join(["1e9"] * 500) + "]}"}]},
        {"documents": [{"id": "a", "text": "\n" * 500}]},
        {"documents": [{"id": "a", "text": "\x01" * 500}]},
        {"tools": [{"function": {"name": "f", "parameters_json": '{"a":[' + ",".join(["1e9"] * 500) + "]}"}}]},
    ],
)
def test_json_that_grows_when_it_is_written_anew_is_held_for(members: Members) -> None:
    request = chat({**members, "max_tokens": 1})
    answer = answered(request)

    assert answer is not None
    assert answer.billed_units["input_tokens"] > input_bytes(request)
    assert billed(request, answer.billed_units) <= worst_case_nanos(price_of(request), request)


def test_a_chat_that_fills_the_window_is_held_for() -> None:
    for name in ("command-a-translate-08-2025", "command-r7b-12-2024"):
        window = MODELS[name].context_tokens
        request = chat({"model": name, "messages": [{"role": "user", "text": "x" * 8 * (window - 80)}]})
        request.max_tokens = 10**6

        assert max(bills(request)) <= worst_case_nanos(price_of(request), request)


WORDS = "It is a truth universally acknowledged, that a single man in possession of a good fortune must want a wife. "
SCHEMA = '{"type": "object", "properties": {"city": {"type": "string", "description": "Which city to look up"}}}'


@pytest.mark.parametrize(
    ("request_", "factor"),
    [
        # What is allowed of output is what most of a hold is; it is asked for, so the bill may come to it.
        (chat({"messages": [{"role": "user", "text": WORDS * 5}], "max_tokens": 300}), 1.4),
        (chat({"messages": [{"role": "user", "text": WORDS * 50}], "max_tokens": 1_000}), 2.4),
        (chat({"documents": [{"data_json": f'{{"text": "{WORDS * 10}"}}'}] * 10, "max_tokens": 1_000}), 3.2),
        (chat({"tools": [{"function": {"name": "f", "parameters_json": SCHEMA}}] * 10, "max_tokens": 1_000}), 1.5),
        (embed({"texts": [WORDS * 5] * 96}), 7),
        (embed({"texts": [], "images": [PNG_URI]}), 7),
        (rerank({"query": "Who wants a wife?", "documents": [WORDS * 3] * 100}), 1),
        (rerank({"query": "Who wants a wife?", "documents": [WORDS * 10] * 100}), 3),
        (rerank({"query": "Who wants a wife?", "documents": [WORDS * 100] * 100}), 3),
        (rerank({"model": "rerank-v5.0-pro", "query": "Who wants a wife?", "documents": [WORDS * 10] * 100}), 7),
    ],
)  # fmt: skip
def test_the_hold_of_an_ordinary_request_is_a_small_multiple_of_its_bill(request_: AnyRequest, factor: float) -> None:
    hold, truth = worst_case_nanos(price_of(request_), request_), max(bills(request_))
    print(f"held {hold}, billed {truth}: {hold / truth:.2f} times")

    assert truth <= hold <= factor * truth

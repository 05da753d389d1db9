"""What holds of the validation of any request."""

import importlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import assume, given
from hypothesis import strategies as st

from clients.codec.chat import encode as encode_chat
from clients.codec.embed import FloatsAs
from clients.codec.embed import encode as encode_embed
from clients.codec.rerank import encode as encode_rerank
from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, ContentBlock, Tool
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.rerank_pb2 import RerankRequest
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from service.validation import (
    Violation,
    ViolationReason,
    violations_of_chat,
    violations_of_embed,
    violations_of_rerank,
)
from tests.unit.validation.chat_rows import JSON_ROWS, NUMBER_ROWS, THINKING_ROWS, TOOL_ROWS, WORD_ROWS
from tests.unit.validation.message_rows import PNG
from tests.unit.validation.strategies import VALID_REQUESTS, anything
from tests.unit.validation.tables import Row, chat, embed, found_in, rerank, violations_of

SECRET = "Secret-\u00fc\x00-words"
COHERE_TYPES: list[type[Message]] = [ChatRequest, EmbedRequest, RerankRequest]
OWN_TYPES: list[type[Message]] = [
    GetUsageRequest,
    AdjustBudgetRequest,
    SetTeamFrozenRequest,
    ListAuditRecordsRequest,
    ListTeamsRequest,
    GetTeamRequest,
]
REQUEST_TYPES = [*COHERE_TYPES, *OWN_TYPES]
FOR_COHERE = st.one_of(*(anything(request.DESCRIPTOR) for request in COHERE_TYPES))
ANY_REQUEST = FOR_COHERE | st.one_of(*(anything(request.DESCRIPTOR) for request in OWN_TYPES))
INDEPENDENT_ROWS = [
    row
    for row in [*NUMBER_ROWS, *WORD_ROWS, *THINKING_ROWS, *TOOL_ROWS, *JSON_ROWS]
    if "response_format" not in row.members
]


@given(VALID_REQUESTS)
def test_a_valid_request_has_no_violations(request: Message) -> None:
    assert found_in(request) == []


@given(VALID_REQUESTS | ANY_REQUEST)
def test_validation_changes_nothing_and_finds_the_same_again(request: Message) -> None:
    before = request.SerializeToString(deterministic=True)
    found = violations_of(request)

    assert violations_of(request) == found
    assert request.SerializeToString(deterministic=True) == before


@given(ANY_REQUEST)
def test_whatever_a_message_can_hold_each_violation_names_a_field_of_it(request: Message) -> None:
    for violation in violations_of(request):
        assert violation.reason in set(ViolationReason)
        assert violation.description
        if violation.reason != ViolationReason.MORE_VIOLATIONS:
            _descend(request, violation.field)


@given(VALID_REQUESTS | FOR_COHERE)
def test_whatever_passes_can_be_written_as_json(request: Message) -> None:
    assume(not violations_of(request))
    match request:
        case ChatRequest():
            body = encode_chat(request, stream=False)
        case EmbedRequest():
            body = encode_embed(request, floats_as=FloatsAs.BASE64)
        case RerankRequest():
            body = encode_rerank(request)
        case _:
            raise TypeError(request)

    assert json.loads(body)["model"] == request.model


@given(st.lists(st.sampled_from(INDEPENDENT_ROWS), unique_by=lambda row: next(iter(row.members)), min_size=2))
def test_all_violations_of_one_chat_are_found_at_once(
    rows: list[Row],
) -> None:
    request = chat({name: value for row in rows for name, value in row.members.items()})
    expected = {pair for row in rows for pair in row.found}

    assert set(found_in(request)) == expected


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
def test_every_number_with_a_fraction_is_refused_if_it_is_not_finite(request_type: type[Message]) -> None:
    for path in _doubles(request_type.DESCRIPTOR):
        for value in (math.nan, math.inf, -math.inf):
            request = request_type()
            *parents, name = path
            holder: Message = request
            for parent in parents:
                holder = getattr(holder, parent)
            setattr(holder, name, value)

            assert (".".join(path), "NOT_FINITE") in found_in(request)


def test_the_numbers_with_a_fraction_are_these() -> None:
    doubles = {".".join(path) for request in REQUEST_TYPES for path in _doubles(request.DESCRIPTOR)}

    assert doubles == {
        "temperature",
        "p",
        "frequency_penalty",
        "presence_penalty",
        "relevant_spans.threshold",
    }


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
def test_no_text_of_the_request_is_repeated_in_a_violation(request_type: type[Message]) -> None:
    request = request_type()
    for index in range(5):  # the members of a oneof take turns
        _fill(request, SECRET, index)
        found = violations_of(request)

        assert found
        assert not [violation for violation in found if "Secret" in violation.description + violation.field]


def test_the_violations_of_the_worst_chat_fit_into_a_response_header() -> None:
    request = chat({"messages": [{"role": "user", "content": [{"image_url": {"url": "http://a"}}] * 200}]})
    found = violations_of_chat(request)
    sent = importlib.import_module("google.rpc.error_details_pb2").BadRequest(
        field_violations=[asdict(violation) for violation in found]
    )

    assert 4_800 < sent.ByteSize() < 5_100
    assert found[-1] == Violation(
        "", "MORE_VIOLATIONS", f"and more: only the first {len(found) - 1} violations are listed"
    )


@pytest.mark.parametrize("bad", [99, 100, 101, 4_000])
def test_at_most_a_hundred_violations_are_listed_and_one_that_says_there_are_more(bad: int) -> None:
    request = chat({})
    request.tools.extend([Tool()] * bad)
    found = violations_of_chat(request)

    assert len(found) == min(bad, 101)
    assert (found[-1].reason == "MORE_VIOLATIONS") == (bad > 100)
    assert [violation.field for violation in found[:2]] == ["tools[0].function", "tools[1].function"]


@pytest.mark.parametrize(
    ("field", "request_of_parts"),
    [
        ("messages", lambda n: ChatRequest(model="m", messages=[ChatMessage(role="user", text="a")] * n)),
        ("documents", lambda n: chat({"documents": [{"text": "a"}] * (n - 1)})),
        (
            "messages[0].content",
            lambda n: ChatRequest(
                model="m", messages=[ChatMessage(role="user", content=[ContentBlock(text="a")] * (n - 1))]
            ),
        ),
    ],
)
def test_a_request_of_more_parts_than_any_model_reads_is_refused(field: str, request_of_parts: type) -> None:
    assert found_in(request_of_parts(5_000)) == []
    assert found_in(request_of_parts(5_001)) == [(field, "TOO_MANY")]


def test_a_description_names_the_bound_and_the_measure_of_the_value() -> None:
    descriptions = [
        *violations_of_chat(chat({"model": "m" * 250, "temperature": 1.5, "max_tokens": -3})),
        *violations_of_embed(embed({"texts": ["a"] * 97, "images": [PNG], "truncate": "middle"})),
        *violations_of_rerank(rerank({"documents": ["a"] * 10_001})),
    ]

    assert [violation.description for violation in descriptions] == [
        "may have 200 characters; has 250",
        "must be at least 1; is -3",
        "must be from 0 to 1; is 1.5",
        "may hold 96 items; holds 97",
        "must be one of NONE, START, END; has 6 characters",
        "must not be set together with texts",
        "may hold 10000 items; holds 10001",
    ]


def _descend(message: Message, path: str) -> None:
    """Follows *path* into *message*; its last field need not be set."""
    at: object = message
    for step in path.split("."):
        name, *indices = re.findall(r"\w+", step)
        at = getattr(at, name)
        for index in indices:
            at = at[int(index)]  # type: ignore[index]


def _doubles(descriptor: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in descriptor.fields:
        if field.message_type:
            yield from _doubles(field.message_type, (*path, field.name))
        elif field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
            yield (*path, field.name)


def _fill(message: Message, text: str, turn: int) -> None:
    """Sets every string of *message* and of all it holds; of a oneof, the member whose turn it is."""
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and field is not oneof.fields[turn % len(oneof.fields)]:
            continue
        if field.message_type:
            held = getattr(message, field.name)
            _fill(held.add() if field.is_repeated else held, text, turn)
        elif field.type == FieldDescriptor.TYPE_STRING and field.is_repeated:
            getattr(message, field.name).append(text)
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, text)

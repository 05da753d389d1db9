from typing import Any

import orjson
import pytest

from clients.codec import stream
from clients.codec.errors import MalformedAnswer
from cohort.v1.chat_pb2 import ChatStreamResponse


def decoded(body: Any) -> ChatStreamResponse:
    event = ChatStreamResponse()
    stream.decode_event(orjson.dumps(body), event)
    return event


def test_the_empty_members_of_message_start_say_nothing() -> None:
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    event = decoded({"type": "message-start", "id": "1", "delta": {"message": message}})

    assert (event.message_start.id, event.message_start.role) == ("1", "assistant")
    assert not event.extra_json


def test_members_of_message_start_that_say_something_are_kept() -> None:
    event = decoded({"type": "message-start", "delta": {"message": {"role": "assistant", "tool_plan": "I"}}})

    assert dict(event.extra_json) == {"/delta/message/tool_plan": '"I"'}


def test_an_empty_piece_is_still_a_piece() -> None:
    event = decoded({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": ""}}}})

    assert event.content_delta.WhichOneof("delta") == "text"
    assert not event.extra_json


def test_a_piece_of_both_kinds_loses_neither() -> None:
    content = {"thinking": "Hm", "text": "It"}
    event = decoded({"type": "content-delta", "index": 0, "delta": {"message": {"content": content}}})

    assert event.content_delta.text == "It"
    assert dict(event.extra_json) == {"/delta/message/content/thinking": '"Hm"'}


def test_a_missing_index_is_told_from_index_0() -> None:
    assert not decoded({"type": "content-end", "index": 0}).extra_json
    assert dict(decoded({"type": "content-end"}).extra_json) == {"/index": "null"}


@pytest.mark.parametrize("kind", ["content-end", "tool-call-end", "citation-end"])
def test_each_end_is_an_event_of_its_own(kind: str) -> None:
    field = kind.replace("-", "_")
    event = decoded({"type": kind, "index": 3})

    assert event.WhichOneof("event") == field
    assert getattr(event, field).index == 3


def test_a_failed_generation_ends_with_its_error() -> None:
    delta = {"finish_reason": "ERROR", "usage": {}, "error": "no", "error_type": "INVALID_TOOL_GENERATION"}
    end = decoded({"type": "message-end", "id": None, "delta": delta}).message_end

    assert (end.finish_reason, end.error, end.error_type) == ("ERROR", "no", "INVALID_TOOL_GENERATION")
    assert end.HasField("usage")
    assert not end.usage.HasField("billed_units")


@pytest.mark.parametrize("body", [{"type": "new", "n": 2**64 - 1}, {}, {"type": None}, {"type": ["content-end"]}])
def test_an_event_of_no_known_type_is_kept_as_it_came(body: Any) -> None:
    event = ChatStreamResponse()
    data = b" " + orjson.dumps(body)
    stream.decode_event(data, event)

    assert event.other_json == data.decode()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (["secret"], "the event"),
        ({"type": "content-delta", "index": "secret"}, "/index"),
        ({"type": "content-delta", "delta": "secret"}, "/delta"),
        ({"type": "content-delta", "delta": {"message": ["secret"]}}, "/delta/message"),
        ({"type": "content-delta", "delta": {"message": {"content": "secret"}}}, "/delta/message/content"),
        ({"type": "content-delta", "delta": {"message": {"content": {"text": 1}}}}, "/delta/message/content/text"),
        ({"type": "tool-call-start", "delta": {"message": {"tool_calls": []}}}, "/delta/message/tool_calls"),
        ({"type": "citation-start", "delta": {"message": {"citations": [{}]}}}, "/delta/message/citations"),
        ({"type": "message-end", "delta": {"usage": "secret"}}, "/delta/usage"),
        ({"type": "message-end", "delta": {"error": {"secret": 1}}}, "/delta/error"),
    ],
)
def test_a_malformed_event_is_named_by_its_place_and_not_by_its_content(body: Any, place: str) -> None:
    with pytest.raises(MalformedAnswer) as raised:
        decoded(body)

    assert place in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"[DONE]", b'{"type":"content-end"', b'{"type":"content-end"}{}'])
def test_data_that_is_not_json_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        stream.decode_event(data, ChatStreamResponse())

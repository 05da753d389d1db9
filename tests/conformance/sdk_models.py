"""Compares what Cohort decoded with the SDK's model of the same answer, field by field.

A field without presence reads absent as its default; the SDK says None. Members that nobody documented are
`model_extra` there and `extra_json` here.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from pydantic import BaseModel

from cohort.v1.chat_pb2 import ChatStreamResponse, ContentBlock, Source
from cohort.v1.embed_pb2 import Embeddings

Extra = dict[str, Any]

COHORTS_OWN = ("extra_json", "receipt")
_EMPTY_AT_START = ("content", "tool_plan", "tool_calls", "citations")


def assert_equal(model: BaseModel, answer: Any) -> None:
    """Asserts that a unary *answer* says what the SDK's *model* says."""
    extra: Extra = {}
    _compare(model, answer, "", extra)
    _assert_extra(answer.extra_json, extra)


def assert_event_equal(model: Any, event: ChatStreamResponse) -> None:
    """Asserts that *event* says what the SDK's *model* of it says."""
    field = event.WhichOneof("event")
    assert field is not None
    assert model.type == field.replace("_", "-")
    extra: Extra = {}
    _collect(model, "", ("type", "id", "index", "delta", "logprobs", "prompt"), extra)
    inner = getattr(event, field)
    if "index" in inner.DESCRIPTOR.fields_by_name:
        assert inner.index == (model.index or 0)
    _EVENTS[field](model, inner, extra)
    _assert_extra(event.extra_json, extra)


def _compare(model: Any, message: Any, path: str, extra: Extra) -> None:
    special = _SPECIAL.get(message.DESCRIPTOR.name)
    if special is not None:
        special(model, message, path, extra)
        return
    for field in message.DESCRIPTOR.fields:
        if field.name not in COHORTS_OWN:
            _compare_field(getattr(model, field.name, None), message, field, f"{path}/{field.name}", extra)
    _collect(model, path, message.DESCRIPTOR.fields_by_name, extra)


def _compare_field(expected: Any, message: Message, field: FieldDescriptor, path: str, extra: Extra) -> None:
    actual = getattr(message, field.name)
    if field.is_repeated:
        assert len(actual) == len(expected or []), path
        for index, item in enumerate(actual):
            _compare_value(expected[index], item, f"{path}/{index}", extra)
    elif field.has_presence and expected is None:
        assert not message.HasField(field.name), path
    elif expected is None:
        assert actual == field.default_value, path
    else:
        assert not field.has_presence or message.HasField(field.name), path
        _compare_value(expected, actual, path, extra)


def _compare_value(expected: Any, actual: Any, path: str, extra: Extra) -> None:
    if isinstance(actual, Message):
        _compare(expected, actual, path, extra)
    else:
        assert actual == expected, path


def _collect(model: Any, path: str, known: Any, extra: Extra) -> None:
    for name, value in (model.model_extra or {}).items():
        if name not in known:
            extra[f"{path}/{name.replace('~', '~0').replace('/', '~1')}"] = value


def _assert_extra(extra_json: Mapping[str, str], expected: Extra) -> None:
    assert {pointer: orjson.loads(text) for pointer, text in extra_json.items()} == expected


def _block(model: Any, block: ContentBlock, path: str, extra: Extra) -> None:
    kind = block.WhichOneof("block")
    assert kind == model.type
    assert getattr(block, str(kind)) == getattr(model, str(kind))
    _collect(model, path, ("type", "text", "thinking"), extra)


def _source(model: Any, source: Source, path: str, extra: Extra) -> None:
    name = {"document": "document", "tool": "tool_output"}[model.type]
    assert source.WhichOneof("source") == f"{name}_json"
    assert orjson.loads(getattr(source, f"{name}_json")) == getattr(model, name)
    assert source.id == (model.id or "")
    _collect(model, path, ("type", "id", name), extra)


def _vectors(model: Any, embeddings: Embeddings, path: str, extra: Extra) -> None:
    assert [list(vector.values) for vector in embeddings.floats] == (model.float_ or [])
    for name, code in {"int8": "b", "uint8": "B", "binary": "b", "ubinary": "B"}.items():
        vectors = [list(struct.unpack(f"{len(vector)}{code}", vector)) for vector in getattr(embeddings, name)]
        assert vectors == (getattr(model, name) or []), name
    assert list(embeddings.base64) == (model.base64 or [])
    _collect(model, path, (), extra)


def _message_of(model: Any, extra: Extra, *known: str) -> Any:
    """The SDK's delta.message of an event."""
    _collect(model.delta, "/delta", ("message",), extra)
    _collect(model.delta.message, "/delta/message", known, extra)
    return model.delta.message


def _message_start(model: Any, start: Any, extra: Extra) -> None:
    message = _message_of(model, extra, *_EMPTY_AT_START)
    assert (start.id, start.role) == (model.id or "", message.role or "")


def _content_start(model: Any, start: Any, extra: Extra) -> None:
    _compare(_message_of(model, extra).content, start.content, "/delta/message/content", extra)


def _content_delta(model: Any, delta: Any, extra: Extra) -> None:
    content = _message_of(model, extra).content
    kind = delta.WhichOneof("delta")
    values = {name: getattr(content, name) for name in ("text", "thinking") if getattr(content, name) is not None}
    assert values == {kind: getattr(delta, kind)}
    _collect(content, "/delta/message/content", (), extra)
    _compare_field(model.logprobs, delta, delta.DESCRIPTOR.fields_by_name["logprobs"], "/logprobs", extra)


def _tool_plan_delta(model: Any, delta: Any, extra: Extra) -> None:
    assert delta.tool_plan == _message_of(model, extra).tool_plan


def _tool_call_start(model: Any, start: Any, extra: Extra) -> None:
    _compare(_message_of(model, extra).tool_calls, start.tool_call, "/delta/message/tool_calls", extra)


def _tool_call_delta(model: Any, delta: Any, extra: Extra) -> None:
    tool_calls = _message_of(model, extra).tool_calls
    assert delta.arguments == tool_calls.function.arguments
    _collect(tool_calls, "/delta/message/tool_calls", (), extra)
    _collect(tool_calls.function, "/delta/message/tool_calls/function", (), extra)


def _citation_start(model: Any, start: Any, extra: Extra) -> None:
    _compare(_message_of(model, extra).citations, start.citation, "/delta/message/citations", extra)


def _message_end(model: Any, end: Any, extra: Extra) -> None:
    assert end.id == (model.id or "")
    fields = end.DESCRIPTOR.fields_by_name
    for name in ("finish_reason", "usage", "error", "error_type"):
        _compare_field(getattr(model.delta, name, None), end, fields[name], f"/delta/{name}", extra)
    _collect(model.delta, "/delta", ("error_type",), extra)


def _nothing_more(_model: Any, _end: Any, _extra: Extra) -> None:
    """An end has an index and nothing else."""


def _debug(model: Any, debug: Any, _extra: Extra) -> None:
    assert debug.prompt == model.prompt


_SPECIAL: Mapping[str, Callable[[Any, Any, str, Extra], None]] = {
    "ContentBlock": _block,
    "Source": _source,
    "Embeddings": _vectors,
}
_EVENTS: Mapping[str, Callable[[Any, Any, Extra], None]] = {
    "message_start": _message_start,
    "content_start": _content_start,
    "content_delta": _content_delta,
    "content_end": _nothing_more,
    "tool_plan_delta": _tool_plan_delta,
    "tool_call_start": _tool_call_start,
    "tool_call_delta": _tool_call_delta,
    "tool_call_end": _nothing_more,
    "citation_start": _citation_start,
    "citation_end": _nothing_more,
    "message_end": _message_end,
    "debug": _debug,
}

"""The way back: an answer's message → the JSON it was decoded from. What cannot go this way is lost."""

import struct
from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.message import Message

from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatResponse,
    ChatStreamResponse,
    Citation,
    ContentBlock,
    ContentDelta,
    Source,
    ToolCall,
)
from cohort.v1.embed_pb2 import Embeddings, EmbedResponse
from cohort.v1.rerank_pb2 import RerankResponse


def chat_json(response: ChatResponse) -> dict[str, Any]:
    members = _strings(response, "id", "finish_reason")
    if response.HasField("message"):
        members["message"] = _message(response.message)
    if response.HasField("usage"):
        members["usage"] = _scalars(response.usage)
    if response.logprobs:
        members["logprobs"] = [_scalars(item) for item in response.logprobs]
    return _with_extra(members, response.extra_json)


def event_json(event: ChatStreamResponse) -> dict[str, Any]:
    field = event.WhichOneof("event")
    if field == "other_json":
        return orjson.loads(event.other_json)  # type: ignore[no-any-return]
    assert field is not None
    members = {"type": field.replace("_", "-"), **_EVENTS[field](getattr(event, field))}
    return _with_extra(members, event.extra_json)


def embed_json(response: EmbedResponse) -> dict[str, Any]:
    members = _strings(response, "id", "response_type")
    if response.HasField("embeddings"):
        members["embeddings"] = _embeddings(response.embeddings)
    if response.texts:
        members["texts"] = list(response.texts)
    if response.images:
        members["images"] = [
            {"width": image.width, "height": image.height, "format": image.format, "bit_depth": image.bit_depth}
            for image in response.images
        ]
    if response.HasField("meta"):
        members["meta"] = _scalars(response.meta)
    return _with_extra(members, response.extra_json)


def rerank_json(response: RerankResponse) -> dict[str, Any]:
    members = _strings(response, "id")
    members["results"] = [
        {
            "index": result.index,
            "relevance_score": result.relevance_score,
            "relevant_spans": [
                {"start": span.start, "end": span.end, "score": span.score} for span in result.relevant_spans
            ],
        }
        for result in response.results
    ]
    if response.HasField("meta"):
        members["meta"] = _scalars(response.meta)
    return _with_extra(members, response.extra_json)


def _strings(message: Message, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if getattr(message, name)}


def _scalars(message: Message) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for field, value in message.ListFields():
        if isinstance(value, Message):
            members[field.name] = _scalars(value)
        else:
            members[field.name] = list(value) if field.is_repeated else value
    return members


def _message(message: ChatMessage) -> dict[str, Any]:
    members = _strings(message, "role")
    if message.HasField("text"):
        members["content"] = message.text
    elif message.content:
        members["content"] = [_block(block) for block in message.content]
    if message.tool_calls:
        members["tool_calls"] = [_tool_call(tool_call) for tool_call in message.tool_calls]
    if message.HasField("tool_plan"):
        members["tool_plan"] = message.tool_plan
    if message.citations:
        members["citations"] = [_citation(citation) for citation in message.citations]
    return members


def _block(block: ContentBlock) -> Any:
    kind = block.WhichOneof("block")
    if kind == "other_json":
        return orjson.loads(block.other_json)
    assert kind in ("text", "thinking")
    return {"type": kind, kind: getattr(block, kind)}


def _tool_call(tool_call: ToolCall) -> dict[str, Any]:
    members = _strings(tool_call, "id", "type")
    if tool_call.HasField("function"):
        function = tool_call.function
        members["function"] = {"name": function.name, "arguments": function.arguments}
    return members


def _citation(citation: Citation) -> dict[str, Any]:
    members = {
        "start": citation.start,
        "end": citation.end,
        "text": citation.text,
        "sources": [_source(source) for source in citation.sources],
        **_strings(citation, "type"),
    }
    if citation.HasField("content_index"):
        members["content_index"] = citation.content_index
    return members


def _source(source: Source) -> Any:
    field = source.WhichOneof("source")
    if field == "other_json":
        return orjson.loads(source.other_json)
    name = {"document_json": "document", "tool_output_json": "tool_output"}[field or ""]
    kind = name.removesuffix("_output")
    return {"type": kind, **_strings(source, "id"), name: orjson.loads(getattr(source, str(field)))}


def _embeddings(embeddings: Embeddings) -> dict[str, Any]:
    members: dict[str, Any] = {"float": [list(vector.values) for vector in embeddings.floats]}
    for name, code in {"int8": "b", "uint8": "B", "binary": "b", "ubinary": "B"}.items():
        members[name] = [list(struct.unpack(f"{len(vector)}{code}", vector)) for vector in getattr(embeddings, name)]
    members["base64"] = list(embeddings.base64)
    return {name: value for name, value in members.items() if value}


def _content_delta(delta: ContentDelta) -> dict[str, Any]:
    kind = delta.WhichOneof("delta")
    content = {} if kind is None else {kind: getattr(delta, kind)}
    members: dict[str, Any] = {"index": delta.index, "delta": {"message": {"content": content}}}
    if delta.HasField("logprobs"):
        members["logprobs"] = _scalars(delta.logprobs)
    return members


def _part(name: str, message: Message, field: str, value: Any) -> dict[str, Any]:
    """The nesting of a `*-start` event: {index, delta: {message: {name: value}}}."""
    inner = {name: value} if message.HasField(field) else {}
    return {"index": getattr(message, "index"), "delta": {"message": inner}}  # noqa: B009 - of several types


def _message_end(end: Any) -> dict[str, Any]:
    delta = _strings(end, "finish_reason")
    if end.HasField("usage"):
        delta["usage"] = _scalars(end.usage)
    delta |= {name: getattr(end, name) for name in ("error", "error_type") if end.HasField(name)}
    return {**_strings(end, "id"), "delta": delta}


def _end(end: Any) -> dict[str, Any]:
    return {"index": end.index}


_EVENTS: Mapping[str, Any] = {
    "message_start": lambda start: {
        **_strings(start, "id"),
        "delta": {
            "message": {
                **_strings(start, "role"),
                "content": [],
                "tool_plan": "",
                "tool_calls": [],
                "citations": [],
            }
        },
    },
    "content_start": lambda start: _part("content", start, "content", _block_or_nothing(start.content)),
    "content_delta": _content_delta,
    "content_end": _end,
    "tool_plan_delta": lambda delta: {"delta": {"message": {"tool_plan": delta.tool_plan}}},
    "tool_call_start": lambda start: _part("tool_calls", start, "tool_call", _tool_call(start.tool_call)),
    "tool_call_delta": lambda delta: {
        "index": delta.index,
        "delta": {"message": {"tool_calls": {"function": {"arguments": delta.arguments}}}},
    },
    "tool_call_end": _end,
    "citation_start": lambda start: _part("citations", start, "citation", _citation(start.citation)),
    "citation_end": _end,
    "message_end": _message_end,
    "debug": lambda debug: _strings(debug, "prompt"),
}


def _block_or_nothing(block: ContentBlock) -> Any:
    return _block(block) if block.WhichOneof("block") else {}


def _with_extra(members: dict[str, Any], extra: Mapping[str, str]) -> dict[str, Any]:
    """Puts the members of `extra_json` back to where their JSON Pointers say they stood."""
    for pointer, text in extra.items():
        *path, name = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        parent: Any = members
        for part in path:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        parent[name] = orjson.loads(text)
    return members

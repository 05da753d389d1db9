"""Hypothesis strategies for requests as callers write them: every field, in every role that may use it."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message
from hypothesis import strategies as st

from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatRequest,
    Citation,
    CitationOptions,
    ContentBlock,
    Document,
    FunctionCall,
    FunctionDefinition,
    ImageUrl,
    ResponseFormat,
    Source,
    Thinking,
    Tool,
    ToolCall,
)
from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest
from cohort.v1.rerank_pb2 import RelevantSpansOptions, RerankRequest

M = TypeVar("M", bound=Message)

words = st.text(max_size=12)
filled = st.text(min_size=1, max_size=12)
int32s = st.integers(-(2**31), 2**31 - 1)
doubles = st.floats(allow_nan=False, allow_infinity=False)
_free_json: st.SearchStrategy[Any] = st.recursive(
    # Numbers beyond 2^64 and nulls are what parsers and comparators like to lose.
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | doubles | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
_objects = st.dictionaries(words, _free_json, max_size=3)


def _written(value: Any, indent: int | None, *, ascii_only: bool) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only)


json_texts = st.builds(_written, _objects, st.sampled_from((None, 0, 2)), ascii_only=st.booleans())
"""Free-form JSON objects as text, tight and spread over lines, escaped and not."""
other_blocks = _objects.map(lambda members: json.dumps({**members, "type": "new"}))


def message_of(
    type_: type[M],
    required: dict[str, st.SearchStrategy[Any]],
    optional: dict[str, st.SearchStrategy[Any]] | None = None,
) -> st.SearchStrategy[M]:
    """Messages of *type_* with all the *required* fields and any of the *optional* ones."""
    return st.fixed_dictionaries(required, optional=optional or {}).map(lambda fields: type_(**fields))


def one_of(type_: type[M], members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[M]:
    """Messages of *type_* with one of *members*."""
    return st.one_of([value.map(_member(type_, name)) for name, value in members.items()])


def _member(type_: type[M], name: str) -> Callable[[Any], M]:
    return lambda value: type_(**{name: value})


def _several(items: st.SearchStrategy[M], min_size: int = 1) -> st.SearchStrategy[list[M]]:
    return st.lists(items, min_size=min_size, max_size=2)


_image_urls = message_of(ImageUrl, {"url": filled}, {"detail": st.sampled_from(("auto", "low", "high", "new"))})
_documents = st.builds(
    lambda body, identity: Document(**body, **identity),
    st.fixed_dictionaries({"text": words}) | st.fixed_dictionaries({"data_json": json_texts}),
    st.fixed_dictionaries({}, optional={"id": words}),
)


def _blocks(*kinds: str) -> st.SearchStrategy[list[ContentBlock]]:
    members: dict[str, st.SearchStrategy[Any]] = {
        "text": words,
        "thinking": words,
        "image_url": _image_urls,
        "document": _documents,
        "other_json": other_blocks,
    }
    return _several(one_of(ContentBlock, {kind: members[kind] for kind in (*kinds, "other_json")}))


def _contents(*kinds: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"text": words}) | st.fixed_dictionaries({"content": _blocks(*kinds)})


_tool_calls = message_of(
    ToolCall,
    {"id": filled},
    {
        "type": st.just("function"),
        "function": message_of(FunctionCall, {}, {"name": filled, "arguments": words}),
    },
)
_sources = st.builds(
    lambda source, identity: Source(**source, **identity),
    st.fixed_dictionaries({"document_json": json_texts}) | st.fixed_dictionaries({"tool_output_json": json_texts}),
    st.fixed_dictionaries({}, optional={"id": filled}),
) | one_of(Source, {"other_json": other_blocks})
_citations = message_of(
    Citation,
    {},
    {
        "start": int32s,
        "end": int32s,
        "text": words,
        "sources": _several(_sources),
        "content_index": int32s,
        "type": st.sampled_from(("TEXT_CONTENT", "THINKING_CONTENT", "PLAN", "NEW")),
    },
)
_assistant_extras = st.fixed_dictionaries(
    {}, optional={"tool_calls": _several(_tool_calls), "tool_plan": words, "citations": _several(_citations)}
)
_messages = st.one_of(
    _contents("text", "image_url").map(lambda fields: ChatMessage(role="user", **fields)),
    _contents("text").map(lambda fields: ChatMessage(role="system", **fields)),
    st.builds(
        lambda content, extras: ChatMessage(role="assistant", **content, **extras),
        st.just({}) | _contents("text", "thinking"),
        _assistant_extras,
    ),
    st.builds(
        lambda content, identity: ChatMessage(role="tool", tool_call_id=identity, **content),
        _contents("text", "document"),
        filled,
    ),
)
_tools = message_of(
    Tool,
    {
        "function": message_of(
            FunctionDefinition, {"name": filled, "parameters_json": json_texts}, {"description": words}
        )
    },
    {"type": st.just("function")},
)
_response_formats = st.just(ResponseFormat(type="text")) | message_of(
    ResponseFormat, {"type": st.just("json_object")}, {"json_schema": json_texts}
)

chat_requests = message_of(
    ChatRequest,
    {"model": filled, "messages": _several(_messages), "max_tokens": int32s},
    {
        "tools": _several(_tools),
        "strict_tools": st.booleans(),
        "documents": _several(_documents),
        "citation_options": message_of(CitationOptions, {}, {"mode": filled}),
        "response_format": _response_formats,
        "safety_mode": filled,
        "stop_sequences": st.lists(words, min_size=1, max_size=3),
        "temperature": doubles,
        "seed": st.integers(0, 2**64 - 1),
        "frequency_penalty": doubles,
        "presence_penalty": doubles,
        "k": int32s,
        "p": doubles,
        "logprobs": st.booleans(),
        "tool_choice": st.sampled_from(("REQUIRED", "NONE", "NEW")),
        "thinking": message_of(Thinking, {}, {"type": filled, "token_budget": int32s}),
        "priority": int32s,
    },
)

_embed_inputs = message_of(
    EmbedInput,
    {"content": _several(one_of(ContentBlock, {"text": words, "image_url": message_of(ImageUrl, {"url": filled})}))},
)
_embed_options: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": int32s,
    "output_dimension": int32s,
    "embedding_types": st.lists(
        st.sampled_from(("float", "int8", "uint8", "binary", "ubinary", "base64", "new")), min_size=1, unique=True
    ),
    "truncate": st.sampled_from(("NONE", "START", "END")),
    "priority": int32s,
}
embed_requests = st.one_of(
    [
        message_of(EmbedRequest, {"model": filled, "input_type": filled, name: what}, _embed_options)
        for name, what in {
            "texts": st.lists(words, min_size=1, max_size=3),
            "images": st.lists(words, min_size=1, max_size=2),
            "inputs": _several(_embed_inputs),
        }.items()
    ]
)

rerank_requests = message_of(
    RerankRequest,
    {"model": filled, "query": filled, "documents": st.lists(words, min_size=1, max_size=3)},
    {
        "top_n": int32s,
        "max_tokens_per_doc": int32s,
        "relevant_spans": message_of(
            RelevantSpansOptions, {"mode": filled}, {"threshold": doubles, "max_spans": int32s}
        ),
        "priority": int32s,
    },
)

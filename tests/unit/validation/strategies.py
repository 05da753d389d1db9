"""Requests to draw: valid ones, and messages that hold anything at all."""

import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from tests.unit.validation.message_rows import PNG
from tests.unit.validation.tables import Members, chat, embed, rerank

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORD = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=64)
MODEL = st.from_regex(r"[!-~]([ -~]{0,198}[!-~])?", fullmatch=True)
PRIORITY = st.integers(0, 999)
_SCALAR = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
_JSON = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, _JSON, max_size=3).map(json.dumps)


def _members(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Members]:
    return st.fixed_dictionaries(required, optional=optional)


_TEXT_BLOCK = _members({"text": TEXT})
_IMAGE = _members({"url": st.sampled_from([PNG, "https://example.com/\u00e9?a=b"])}, detail=WORD)
_DOCUMENT = _members({"data_json": OBJECT}, id=TEXT)
_CALL = _members(
    {"id": TEXT.filter(bool), "function": _members({"name": TEXT.filter(bool)}, arguments=TEXT)},
    type=st.just("function"),
)
_SOURCE = _members({"document_json": OBJECT}, id=TEXT) | _members({"tool_output_json": OBJECT}, id=TEXT)
_CITATION = _members(
    {"start": st.integers(0, 99), "end": st.integers(0, 99), "text": TEXT},
    sources=st.lists(_SOURCE, max_size=2),
    content_index=st.integers(0, 9),
    type=WORD,
)


def _says(
    role: str, *blocks: st.SearchStrategy[Members], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Members]:
    who = {"role": st.just(role)}
    content = st.lists(st.one_of(_TEXT_BLOCK, *blocks), min_size=1, max_size=3)
    return _members(who | {"text": TEXT}, **fields) | _members(who | {"content": content}, **fields)


_MESSAGE = st.one_of(
    _says("system"),
    _says("user", _members({"image_url": _IMAGE}), _members({"other_json": st.just('{"type":"audio"}')})),
    _says(
        "assistant",
        _members({"thinking": TEXT}),
        tool_plan=TEXT,
        tool_calls=st.lists(_CALL, max_size=2),
        citations=st.lists(_CITATION, max_size=2),
    ),
    _members({"role": st.just("assistant"), "tool_calls": st.lists(_CALL, min_size=1, max_size=2)}, tool_plan=TEXT),
    _members({"role": st.just("tool"), "tool_call_id": TEXT.filter(bool), "text": TEXT}),
    _members(
        {
            "role": st.just("tool"),
            "tool_call_id": TEXT.filter(bool),
            "content": st.lists(_members({"document": _DOCUMENT}), min_size=1, max_size=2),
        }
    ),
)
_FUNCTION = _members(
    {"name": st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), "parameters_json": OBJECT},
    description=TEXT,
)
_SETTINGS = {
    "max_tokens": st.integers(1, 2**31 - 1),
    "stop_sequences": st.lists(TEXT, max_size=5),
    "temperature": st.floats(0, 1),
    "seed": st.integers(0, 2**64 - 1),
    "frequency_penalty": st.floats(0, 1),
    "presence_penalty": st.floats(0, 1),
    "k": st.integers(0, 500),
    "p": st.floats(0.01, 0.99),
    "logprobs": st.booleans(),
    "safety_mode": WORD,
    "tool_choice": WORD,
    "strict_tools": st.booleans(),
    "citation_options": _members({}, mode=WORD),
    "thinking": _members({"type": st.sampled_from(["enabled", "disabled"])}, token_budget=st.integers(1, 2**31 - 1)),
    "priority": PRIORITY,
}
_BASE = {"model": MODEL, "messages": st.lists(_MESSAGE, min_size=1, max_size=4)}
VALID_CHATS = st.one_of(
    _members(
        _BASE,
        **_SETTINGS,
        tools=st.lists(_members({"function": _FUNCTION}, type=st.just("function")), max_size=2),
        documents=st.lists(_DOCUMENT | _members({"text": TEXT}), max_size=2),
    ),
    _members(_BASE, **_SETTINGS, response_format=_members({"type": st.just("json_object")}, json_schema=OBJECT)),
).map(chat)

_INPUT = _members({"content": st.lists(_TEXT_BLOCK | st.just({"image_url": {"url": PNG}}), min_size=1, max_size=2)})
_KINDS_OF_INPUT: list[dict[str, st.SearchStrategy[Any]]] = [
    {"texts": st.lists(TEXT, min_size=1, max_size=96)},
    {"images": st.lists(st.just(PNG), min_size=1, max_size=96)},
    {"inputs": st.lists(_INPUT, min_size=1, max_size=4)},
]
_INPUT_TYPES = ["search_document", "search_query", "classification", "clustering", "image"]
VALID_EMBEDS = st.one_of(
    *(
        _members(
            {"model": MODEL, "input_type": st.sampled_from(_INPUT_TYPES), "texts": st.just([])} | inputs,
            max_tokens=st.integers(1, 2**31 - 1),
            output_dimension=st.sampled_from([256, 512, 768, 1024, 1536, 2048]),
            embedding_types=st.lists(
                st.sampled_from(["float", "int8", "uint8", "binary", "ubinary", "base64"]), unique=True
            ),
            truncate=st.sampled_from(["NONE", "START", "END"]),
            priority=PRIORITY,
        )
        for inputs in _KINDS_OF_INPUT
    )
).map(embed)
VALID_RERANKS = _members(
    {"model": MODEL, "query": TEXT.filter(bool), "documents": st.lists(TEXT, min_size=1, max_size=9)},
    top_n=st.integers(1, 2**31 - 1),
    max_tokens_per_doc=st.integers(1, 2**31 - 1),
    relevant_spans=_members(
        {"mode": st.sampled_from(["enabled", "disabled"])},
        threshold=st.floats(0, 1),
        max_spans=st.integers(1, 2**31 - 1),
    ),
    priority=PRIORITY,
).map(rerank)
VALID_REQUESTS = VALID_CHATS | VALID_EMBEDS | VALID_RERANKS

_WORDS_THAT_MATTER = [
    "user",
    "assistant",
    "system",
    "tool",
    "function",
    "float",
    "{}",
    "",
    PNG,
    '{"type":"text"}',
    "text",
]
_ANY_SCALAR: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.sampled_from(_WORDS_THAT_MATTER) | TEXT,
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: st.sampled_from((-1, 900, 253_402_300_800)) | st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 7),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
}


@st.composite
def anything(draw: st.DrawFn, descriptor: Any) -> Message:
    """A message of this type with any of its fields set to anything its type can hold."""
    message = GetMessageClass(descriptor)()
    for field in draw(
        st.lists(st.sampled_from(list(descriptor.fields)), max_size=6, unique_by=lambda field: field.name)
    ):
        value = anything(field.message_type) if field.message_type else _ANY_SCALAR[field.type]
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(value, max_size=4)))
        elif field.message_type:
            getattr(message, field.name).CopyFrom(draw(value))
        else:
            setattr(message, field.name, draw(value))
    return message

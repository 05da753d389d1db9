"""Compares JSON as Cohort promises to keep it: documented members that are absent, null or [] are one."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Shape: TypeAlias = Any
"""None for a value, {name: Shape} for an object, [Shape] for an array of objects; EMPTY for a constant."""

EMPTY = "a member that is one with absent when it is empty text"

_UNITS = dict.fromkeys(("input_tokens", "output_tokens", "search_units", "classifications"))
_NUMBERS = {**_UNITS, **dict.fromkeys(("images", "image_tokens", "text_tokens", "pages"))}
_TOKENS = dict.fromkeys(("input_tokens", "output_tokens", "image_tokens", "reasoning_tokens"))
_USAGE = {"billed_units": _NUMBERS, "tokens": _TOKENS, "cached_tokens": None}
_META = {
    "api_version": dict.fromkeys(("version", "is_deprecated", "is_experimental")),
    **_USAGE,
    "warnings": None,
}
_BLOCK = dict.fromkeys(("type", "text", "thinking"))
_TOOL_CALL = {"id": None, "type": None, "function": dict.fromkeys(("name", "arguments"))}
_SOURCE = dict.fromkeys(("type", "id", "document", "tool_output"))
_CITATION = {**dict.fromkeys(("start", "end", "text", "content_index", "type")), "sources": [_SOURCE]}
_LOGPROB = dict.fromkeys(("text", "token_ids", "logprobs"))

CHAT: Shape = {
    "id": None,
    "finish_reason": None,
    "message": {
        "role": None,
        "content": [_BLOCK],
        "tool_calls": [_TOOL_CALL],
        "tool_plan": None,
        "citations": [_CITATION],
    },
    "usage": _USAGE,
    "logprobs": [_LOGPROB],
}
EVENTS: Mapping[str, Shape] = {
    "message-start": {
        "type": None,
        "id": None,
        "delta": {
            "message": {
                "role": None,
                "content": None,
                "tool_plan": EMPTY,
                "tool_calls": None,
                "citations": None,
            }
        },
    },
    "content-start": {"type": None, "index": None, "delta": {"message": {"content": _BLOCK}}},
    "content-delta": {
        "type": None,
        "index": None,
        "delta": {"message": {"content": dict.fromkeys(("text", "thinking"))}},
        "logprobs": _LOGPROB,
    },
    "content-end": dict.fromkeys(("type", "index")),
    "tool-plan-delta": {"type": None, "delta": {"message": {"tool_plan": None}}},
    "tool-call-start": {"type": None, "index": None, "delta": {"message": {"tool_calls": _TOOL_CALL}}},
    "tool-call-delta": {
        "type": None,
        "index": None,
        "delta": {"message": {"tool_calls": {"function": {"arguments": None}}}},
    },
    "tool-call-end": dict.fromkeys(("type", "index")),
    "citation-start": {"type": None, "index": None, "delta": {"message": {"citations": _CITATION}}},
    "citation-end": dict.fromkeys(("type", "index")),
    "message-end": {
        "type": None,
        "id": None,
        "delta": {"finish_reason": None, "usage": _USAGE, "error": None, "error_type": None},
    },
    "debug": dict.fromkeys(("type", "prompt")),
}
EMBED: Shape = {
    "id": None,
    "embeddings": dict.fromkeys(("float", "int8", "uint8", "binary", "ubinary", "base64")),
    "texts": None,
    "images": [dict.fromkeys(("width", "height", "format", "bit_depth"))],
    "response_type": None,
    "meta": _META,
}
RERANK: Shape = {
    "id": None,
    "results": [{"index": None, "relevance_score": None, "relevant_spans": [dict.fromkeys(("start", "end", "score"))]}],
    "meta": _META,
}


def names_of(shape: Shape) -> set[str]:
    """All member names in *shape*."""
    if isinstance(shape, list):
        return names_of(shape[0])
    if isinstance(shape, dict):
        return set(shape).union(*(names_of(inner) for inner in shape.values()))
    return set()


def canonical(value: Any, shape: Shape) -> Any:
    """*value* without the documented members that are null or []; nothing else is touched.

    Null inside free-form JSON or below an unknown member stays: tools' schemas really contain
    `"description": null`.
    """
    if isinstance(shape, list) and isinstance(value, list):
        return [canonical(item, shape[0]) for item in value]
    if not isinstance(shape, dict) or not isinstance(value, dict):
        return value
    return {
        name: canonical(item, shape.get(name))
        for name, item in value.items()
        if not (name in shape and (item is None or item == [] or (shape[name] == EMPTY and item == "")))
    }


def assert_same(actual: Any, expected: Any, place: str = "") -> None:
    """Asserts that two JSON values are equal, with true ≠ 1 and 1 = 1.0, and names the first difference."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        assert actual.keys() == expected.keys(), f"members of {place or '/'}"
        for name, item in expected.items():
            assert_same(actual[name], item, f"{place}/{name}")
    elif isinstance(expected, list) and isinstance(actual, list):
        assert len(actual) == len(expected), f"length of {place or '/'}"
        for index, item in enumerate(expected):
            assert_same(actual[index], item, f"{place}/{index}")
    else:
        assert isinstance(actual, bool) == isinstance(expected, bool), f"type of {place or '/'}"
        assert actual == expected, place or "/"

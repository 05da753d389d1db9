"""One answer of each endpoint with every member, known and unknown, so that coverage does not hang on chance."""

from typing import Any

_UNITS = {
    "input_tokens": 4,
    "output_tokens": 2.0,
    "search_units": 1,
    "classifications": 1,
    "images": 1,
    "image_tokens": 0,
    "text_tokens": 4,
    "pages": 1,
}
_TOKENS = {"input_tokens": 70, "output_tokens": 2, "image_tokens": 0, "reasoning_tokens": 1, "x/y": [None]}
_USAGE = {"billed_units": _UNITS, "tokens": _TOKENS, "cached_tokens": 3, "x~": {"a": 1}}
_META = {
    "api_version": {"version": "2", "is_deprecated": False, "is_experimental": True},
    **_USAGE,
    "warnings": ["careful"],
}
_LOGPROB = {"text": "It", "token_ids": [1, 2], "logprobs": [-0.1, -1]}
_TOOL_CALL = {"id": "call", "type": "function", "function": {"name": "look", "arguments": "{}", "x": None}}
_CITATION = {
    "start": 1,
    "end": 3,
    "text": "it",
    "sources": [
        {"type": "document", "id": "doc:0", "document": {"z": None, "a": 1}},
        {"type": "tool", "id": "call:0", "tool_output": {"z": 1.5}},
    ],
    "content_index": 1,
    "type": "TEXT_CONTENT",
}

CHAT: dict[str, Any] = {
    "id": "57bc",
    "finish_reason": "COMPLETE",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "It", "x": True}],
        "tool_calls": [_TOOL_CALL],
        "tool_plan": "Look.",
        "citations": [_CITATION],
    },
    "usage": _USAGE,
    "logprobs": [_LOGPROB],
    "": None,
}


def _event(kind: str, message: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": kind, "index": 1, "delta": {"message": message}, **members}


EVENTS: tuple[dict[str, Any], ...] = (
    {
        "type": "message-start",
        "id": "57bc",
        "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}},
    },
    _event("content-start", {"content": {"type": "text", "text": ""}}),
    _event("content-start", {"content": {"type": "thinking", "thinking": ""}}),
    _event("content-delta", {"content": {"text": "It"}}, logprobs=_LOGPROB),
    _event("content-delta", {"content": {"thinking": "Hm"}}, x=None),
    {"type": "content-end", "index": 1},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "Look."}}},
    _event("tool-call-start", {"tool_calls": _TOOL_CALL}),
    _event("tool-call-delta", {"tool_calls": {"function": {"arguments": "{"}}}),
    {"type": "tool-call-end", "index": 1},
    _event("citation-start", {"citations": _CITATION}),
    {"type": "citation-end", "index": 1},
    {
        "type": "message-end",
        "id": "57bc",
        "delta": {"finish_reason": "ERROR", "usage": _USAGE, "error": "no", "error_type": "INVALID"},
    },
    {"type": "debug", "prompt": "Hi"},
)

EMBED: dict[str, Any] = {
    "id": "57bc",
    "embeddings": {
        "float": [[0.5, -0.25]],
        "int8": [[-128, 127]],
        "uint8": [[0, 255]],
        "binary": [[-1]],
        "ubinary": [[255]],
        "base64": ["AAAAPwAAgL4="],
    },
    "texts": ["a"],
    "images": [{"width": 2, "height": 1, "format": "png", "bit_depth": 24}],
    "response_type": "embeddings_by_type",
    "meta": _META,
    "x": 1,
}

RERANK: dict[str, Any] = {
    "id": "57bc",
    "results": [
        {"index": 1, "relevance_score": 0.9, "relevant_spans": [{"start": 1, "end": 2, "score": 0.5}], "x": 1},
        {"index": 0, "relevance_score": 0.1},
    ],
    "meta": _META,
}

"""ChatStream: one server-sent event of POST /v2/chat → `ChatStreamResponse`."""

from typing import Any, Final

from clients.codec.errors import MalformedAnswer
from clients.codec.filling import (
    IMPLIED,
    TEXT,
    VALUE,
    Extra,
    Path,
    Table,
    fill,
    inside,
    keep,
    kept,
    parsed,
)
from clients.codec.parts import LOGPROB_ITEM, TOOL_CALL, fill_block, fill_citation
from clients.codec.usage import USAGE
from cohort.v1.chat_pb2 import ChatStreamResponse, CitationStart, ContentDelta, ContentStart, ToolCallStart


def decode_event(data: bytes, event: ChatStreamResponse) -> None:
    """Fills *event* from the data of one server-sent event.

    An event of a type unknown here is kept whole, as `other_json`. The constant empty members of
    message-start (`content`, `tool_calls`, `citations`, `tool_plan`) say nothing and are not kept.

    Args:
        data: JSON in UTF-8, not the `[DONE]` that ends the stream.
        event: Empty.

    Raises:
        MalformedAnswer: It is not a JSON object, or a member has another type than Cohere documents.
    """
    value = parsed(data)
    if type(value) is not dict:
        raise MalformedAnswer("the event is not a JSON object")
    kind = value.get("type")
    known = _EVENTS.get(kind) if type(kind) is str else None
    if known is None:
        event.other_json = data.decode()
        return
    field, filler = known
    inner = getattr(event, field)
    inner.SetInParent()
    filler(inner, value, event.extra_json, ())


def _event(table: Table, *never_absent: str) -> Any:
    return inside({"type": IMPLIED, **table}, *never_absent)


def _delta(table: Table, *never_absent: str) -> Any:
    """A filler for what Cohere nests as `delta.message`, and the contract keeps flat."""
    return inside({"message": inside(table, *never_absent)}, "message")


def _unless_empty(_message: Any, value: Any, extra: Extra, path: Path) -> None:
    if value not in ([], ""):
        keep(extra, path, value)


def _fill_start(start: ContentStart, value: Any, extra: Extra, path: Path) -> None:
    start.content.SetInParent()
    fill_block(start.content, value, extra, path)


def _fill_delta(delta: ContentDelta, value: Any, extra: Extra, path: Path) -> None:
    fill(value, delta, _TEXT if value.get("text") is not None else _THINKING, extra, path)


def _fill_tool_call(start: ToolCallStart, value: Any, extra: Extra, path: Path) -> None:
    start.tool_call.SetInParent()
    fill(value, start.tool_call, TOOL_CALL, extra, path)


def _fill_citation(start: CitationStart, value: Any, extra: Extra, path: Path) -> None:
    start.citation.SetInParent()
    fill_citation(start.citation, value, extra, path)


# A piece of content is text or thinking. Should Cohere ever send both, the second is kept beside.
_TEXT: Final[Table] = {"text": VALUE, "thinking": kept}
_THINKING: Final[Table] = {"text": VALUE, "thinking": VALUE}

_MESSAGE_START: Final[Table] = {
    "role": TEXT,
    "content": _unless_empty,
    "tool_plan": _unless_empty,
    "tool_calls": _unless_empty,
    "citations": _unless_empty,
}
_MESSAGE_END: Final[Table] = {"finish_reason": TEXT, "usage": USAGE, "error": VALUE, "error_type": VALUE}
_ARGUMENTS: Final = inside({"function": inside({"arguments": VALUE}, "arguments")}, "function")
_END: Final = _event({"index": VALUE}, "index")

# Cohere's type → the field of `ChatStreamResponse`, and what fills it.
_EVENTS: Final[dict[str, tuple[str, Any]]] = {
    "message-start": ("message_start", _event({"id": TEXT, "delta": _delta(_MESSAGE_START)}, "delta")),
    "content-start": (
        "content_start",
        _event({"index": VALUE, "delta": _delta({"content": _fill_start})}, "index", "delta"),
    ),
    "content-delta": (
        "content_delta",
        _event(
            {"index": VALUE, "delta": _delta({"content": _fill_delta}, "content"), "logprobs": LOGPROB_ITEM},
            "index",
            "delta",
        ),
    ),
    "content-end": ("content_end", _END),
    "tool-plan-delta": ("tool_plan_delta", _event({"delta": _delta({"tool_plan": VALUE}, "tool_plan")}, "delta")),
    "tool-call-start": (
        "tool_call_start",
        _event({"index": VALUE, "delta": _delta({"tool_calls": _fill_tool_call})}, "index", "delta"),
    ),
    "tool-call-delta": (
        "tool_call_delta",
        _event({"index": VALUE, "delta": _delta({"tool_calls": _ARGUMENTS}, "tool_calls")}, "index", "delta"),
    ),
    "tool-call-end": ("tool_call_end", _END),
    "citation-start": (
        "citation_start",
        _event({"index": VALUE, "delta": _delta({"citations": _fill_citation})}, "index", "delta"),
    ),
    "citation-end": ("citation_end", _END),
    "message-end": ("message_end", _event({"id": TEXT, "delta": inside(_MESSAGE_END)}, "delta")),
    "debug": ("debug", _event({"prompt": TEXT})),
}

"""The parts of a chat's answer that a stream's events carry, too: blocks, tool calls, citations, log probabilities."""

from collections.abc import Callable
from typing import Any, Final

from clients.codec.filling import (
    IMPLIED,
    TEXT,
    VALUE,
    Extra,
    Path,
    Table,
    fill,
    keep_absence,
    listed,
    texts,
)
from clients.codec.json_text import text_of
from cohort.v1.chat_pb2 import Citation, ContentBlock, FunctionCall, LogprobItem, Source, ToolCall


def fill_block(block: ContentBlock, value: Any, extra: Extra, path: Path) -> None:
    """Fills a content block; one of a kind that answers are not documented to have is kept whole."""
    kind = value.get("type")
    table = _BLOCKS.get(kind) if type(kind) is str else None
    if table is None or value.get(kind) is None:
        block.other_json = text_of(value)
    elif len(value) == 2:  # all there is to nearly every block
        setattr(block, kind, value[kind])
    else:
        fill(value, block, table, extra, path)


def fill_citation(citation: Citation, value: Any, extra: Extra, path: Path) -> None:
    """Fills a citation."""
    fill(value, citation, _CITATION, extra, path)
    keep_absence(extra, path, value, ("start", "end", "text"))


def _fill_source(source: Source, value: Any, extra: Extra, path: Path) -> None:
    kind = value.get("type")
    known = _SOURCES.get(kind) if type(kind) is str else None
    if known is not None and value.get(known[0]) is not None:
        fill(value, source, known[1], extra, path)
    else:
        source.other_json = text_of(value)


def _object_text(field: str) -> Callable[[Source, Any, Extra, Path], None]:
    def filler(source: Source, value: Any, _extra: Extra, _path: Path) -> None:
        if type(value) is not dict:
            raise TypeError
        setattr(source, field, text_of(value))

    return filler


def _fill_sources(citation: Citation, value: Any, extra: Extra, path: Path) -> None:
    for index, item in enumerate(listed(value)):
        _fill_source(citation.sources.add(), item, extra, (path, index))


def _fill_function(tool_call: ToolCall, value: Any, extra: Extra, path: Path) -> None:
    function: FunctionCall = tool_call.function
    function.SetInParent()
    fill(value, function, {"name": VALUE, "arguments": VALUE}, extra, path)
    keep_absence(extra, path, value, ("name", "arguments"))


def _fill_logprobs(item: LogprobItem, value: Any, _extra: Extra, _path: Path) -> None:
    if bool in map(type, listed(value)):  # protobuf would take them as 1 and 0
        raise TypeError
    item.logprobs.extend(value)


_BLOCKS: Final[dict[str, Table]] = {
    "text": {"type": IMPLIED, "text": VALUE},
    "thinking": {"type": IMPLIED, "thinking": VALUE},
}
_SOURCES: Final[dict[str, tuple[str, Table]]] = {
    "document": ("document", {"type": IMPLIED, "id": TEXT, "document": _object_text("document_json")}),
    "tool": ("tool_output", {"type": IMPLIED, "id": TEXT, "tool_output": _object_text("tool_output_json")}),
}
_CITATION: Final[Table] = {
    "start": VALUE,
    "end": VALUE,
    "text": VALUE,
    "sources": _fill_sources,
    "content_index": VALUE,
    "type": TEXT,
}
TOOL_CALL: Final[Table] = {"id": TEXT, "type": TEXT, "function": _fill_function}
"""`ToolCall`."""
LOGPROB_ITEM: Final[Table] = {"text": VALUE, "token_ids": texts("token_ids"), "logprobs": _fill_logprobs}
"""`LogprobItem`."""

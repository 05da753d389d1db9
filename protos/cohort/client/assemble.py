"""A ChatStream's events → the ChatResponse that Chat would have returned.

The events alone decide: pieces are joined by their index, each kind counted by itself, in whatever order the
kinds are interleaved. What has no place in a ChatResponse is left out: `debug`, and events of kinds unknown
to Cohort.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message

from cohort.client._extras import moved, moved_of_logprobs
from cohort.v1.chat_pb2 import (
    ChatResponse,
    ChatStreamResponse,
    Citation,
    ContentBlock,
    ContentDelta,
    LogprobItem,
    MessageEnd,
    MessageStart,
    ToolCall,
)

_M = TypeVar("_M", bound=Message)


class IncompleteStream(ValueError):
    """The events end before `message_end`: what there is must not be taken for the whole answer."""


def assemble(events: Iterable[ChatStreamResponse]) -> ChatResponse:
    """Joins the events of one whole stream.

    Args:
        events: All events of one call to ChatStream, in their order; the call itself will do.

    Returns:
        What Chat would have returned for the same answer.

    Raises:
        IncompleteStream: There is no `message_end`.
        grpc.RpcError: *events* is a call, and the call failed.
    """
    assembly = Assembly()
    for event in events:
        assembly.add(event)
    if not assembly.complete:
        raise IncompleteStream("the events end before message_end")
    return assembly.response


class Assembly:
    """The answer so far, for callers that show events as they arrive.

    Works with blocking and asyncio calls alike::

    assembly = Assembly()
    async for event in stub.ChatStream(request):
        print(event.content_delta.text, end="", flush=True)
        assembly.add(event)
    messages.append(assembly.response.message)
    """

    def __init__(self) -> None:
        self._start = MessageStart()
        self._end: MessageEnd | None = None
        self._blocks: dict[int, _Block] = {}
        self._tool_plan: list[str] = []
        self._tool_calls: dict[int, _ToolCall] = {}
        self._citations: dict[int, Citation] = {}
        self._logprobs: list[LogprobItem] = []
        self._extras: list[tuple[str, int, dict[str, str]]] = []
        self._logprobs_extra: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether `message_end` was added."""
        return self._end is not None

    @property
    def response(self) -> ChatResponse:
        """The answer as far as it is known: a new message, which the caller may change."""
        response = ChatResponse(id=self._start.id)
        message = response.message
        message.role = self._start.role
        message.content.extend(block.joined() for _, block in sorted(self._blocks.items()))
        if self._tool_plan:
            message.tool_plan = "".join(self._tool_plan)
        message.tool_calls.extend(call.joined() for _, call in sorted(self._tool_calls.items()))
        message.citations.extend(citation for _, citation in sorted(self._citations.items()))
        response.logprobs.extend(self._logprobs)
        if self._end is not None:
            _finish(response, self._end)
        for event, index, extra in self._extras:
            response.extra_json.update(moved(event, extra, self._position(event, index)))
        response.extra_json.update(self._logprobs_extra)
        return response

    def add(self, event: ChatStreamResponse) -> None:
        """Adds the next event. It is copied where it is kept.

        Raises:
            ValueError: A piece of thinking is for a block of text, or the reverse.
        """
        kind = event.WhichOneof("event")
        match kind:
            case "message_start":
                self._start.CopyFrom(event.message_start)
            case "content_start":
                self._blocks[event.content_start.index] = _Block(_copy(event.content_start.content))
            case "content_delta":
                self._add_content(event.content_delta, event.extra_json)
            case "tool_plan_delta":
                self._tool_plan.append(event.tool_plan_delta.tool_plan)
            case "tool_call_start":
                self._tool_calls[event.tool_call_start.index] = _ToolCall(_copy(event.tool_call_start.tool_call))
            case "tool_call_delta":
                delta = event.tool_call_delta
                self._tool_calls.setdefault(delta.index, _ToolCall()).pieces.append(delta.arguments)
            case "citation_start":
                self._citations[event.citation_start.index] = _copy(event.citation_start.citation)
            case "message_end":
                self._end = _copy(event.message_end)
        if kind and event.extra_json:
            index = getattr(getattr(event, kind), "index", 0)
            self._extras.append((kind, index, dict(event.extra_json)))

    def _add_content(self, delta: ContentDelta, extra: Mapping[str, str]) -> None:
        self._blocks.setdefault(delta.index, _Block()).add(delta)
        if delta.HasField("logprobs"):
            self._logprobs_extra.update(moved_of_logprobs(extra, len(self._logprobs)))
            self._logprobs.append(_copy(delta.logprobs))

    def _position(self, event: str, index: int) -> int:
        parts: Mapping[str, Collection[int]] = {
            "content": self._blocks,
            "tool": self._tool_calls,
            "citation": self._citations,
        }
        return sum(other < index for other in parts.get(event.partition("_")[0], ()))


@dataclass
class _Block:
    start: ContentBlock = field(default_factory=ContentBlock)
    pieces: list[str] = field(default_factory=list)

    def add(self, delta: ContentDelta) -> None:
        kind, known = delta.WhichOneof("delta"), self.start.WhichOneof("block")
        if kind is None or known == "other_json":  # log probabilities alone, or of a kind that nobody knows to join
            return
        if known is None:
            setattr(self.start, kind, "")
        elif known != kind:
            raise ValueError(f"content block {delta.index} is {known}, and a piece of it is {kind}")
        self.pieces.append(getattr(delta, kind))

    def joined(self) -> ContentBlock:
        block = _copy(self.start)
        if self.pieces:
            kind = block.WhichOneof("block") or "text"
            setattr(block, kind, "".join((getattr(block, kind), *self.pieces)))
        return block


@dataclass
class _ToolCall:
    start: ToolCall = field(default_factory=ToolCall)
    pieces: list[str] = field(default_factory=list)

    def joined(self) -> ToolCall:
        tool_call = _copy(self.start)
        if self.pieces:
            tool_call.function.arguments = "".join((tool_call.function.arguments, *self.pieces))
        return tool_call


def _finish(response: ChatResponse, end: MessageEnd) -> None:
    response.id = end.id or response.id
    response.finish_reason = end.finish_reason
    if end.HasField("usage"):
        response.usage.CopyFrom(end.usage)
    if end.HasField("receipt"):
        response.receipt.CopyFrom(end.receipt)
    for name in ("error", "error_type"):  # no field of an answer's: Chat has them as unknown members, too
        if end.HasField(name):
            response.extra_json[f"/{name}"] = json.dumps(getattr(end, name), ensure_ascii=False)


def _copy(message: _M) -> _M:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy

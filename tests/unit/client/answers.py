"""Hypothesis strategies: an answer of Chat, and the same answer as the events of a stream in some legal order."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatResponse,
    ChatStreamResponse,
    Citation,
    ContentBlock,
    FunctionCall,
    LogprobItem,
    Source,
    ToolCall,
)
from cohort.v1.usage_pb2 import BilledUnits, Money, Receipt, TokenCounts, Usage

words = st.text(max_size=12)
filled = st.text(min_size=1, max_size=12)
counts = st.floats(0, 1e9)
int32s = st.integers(0, 2**31 - 1)
json_texts = st.sampled_from(("1", '"é"', "[null]", '{"a":{}}'))

blocks = st.one_of(
    st.builds(ContentBlock, text=words),
    st.builds(ContentBlock, thinking=words),
    st.builds(ContentBlock, other_json=st.just('{"type":"new"}')),
)
tool_calls = st.builds(
    ToolCall, id=filled, type=st.just("function"), function=st.builds(FunctionCall, name=filled, arguments=words)
)
sources = st.builds(Source, id=words, document_json=st.just('{"text":"x"}')) | st.builds(
    Source, id=words, tool_output_json=st.just('{"rows":3}')
)
citations = st.builds(
    Citation,
    start=int32s,
    end=int32s,
    text=words,
    sources=st.lists(sources, max_size=2),
    content_index=st.none() | int32s,
    type=st.sampled_from(("", "TEXT_CONTENT", "PLAN")),
)
logprobs = st.builds(
    LogprobItem, text=st.none() | words, token_ids=st.lists(int32s, max_size=3), logprobs=st.lists(counts, max_size=3)
)
usages = st.builds(
    Usage,
    billed_units=st.none() | st.builds(BilledUnits, input_tokens=counts, output_tokens=st.none() | counts),
    tokens=st.none() | st.builds(TokenCounts, reasoning_tokens=counts),
    cached_tokens=st.none() | counts,
)
receipts = st.builds(Receipt, call_id=filled, cost=st.none() | st.builds(Money, units=st.integers(0, 9)))
messages = st.builds(
    ChatMessage,
    role=st.just("assistant"),
    content=st.lists(blocks, max_size=3),
    tool_plan=st.none() | words,
    tool_calls=st.lists(tool_calls, max_size=3),
    citations=st.lists(citations, max_size=4),
)


@st.composite
def answers(draw: st.DrawFn) -> ChatResponse:
    """Any answer Chat may give, with members unknown to the contract at any of its parts."""
    response = ChatResponse(
        id=draw(filled),
        finish_reason=draw(st.sampled_from(("COMPLETE", "TOOL_CALL", "MAX_TOKENS"))),
        message=draw(messages),
        usage=draw(st.none() | usages),
        receipt=draw(st.none() | receipts),
    )
    if any(block.WhichOneof("block") != "other_json" for block in response.message.content):
        response.logprobs.extend(draw(st.lists(logprobs, max_size=3)))
    for place in sorted(draw(st.sets(st.sampled_from(list(_places(response)))))):
        response.extra_json[f"{place}/x~1y"] = draw(json_texts)
    return response


def _places(response: ChatResponse) -> Iterator[str]:
    yield from ("", "/usage/tokens", "/message")
    for index in range(len(response.message.content)):
        yield f"/message/content/{index}"
    for index in range(len(response.message.tool_calls)):
        yield from (f"/message/tool_calls/{index}", f"/message/tool_calls/{index}/function")
    for index in range(len(response.message.citations)):
        yield from (f"/message/citations/{index}", f"/message/citations/{index}/sources/0")
    for index in range(len(response.logprobs)):
        yield f"/logprobs/{index}"


def event_of(**members: Any) -> ChatStreamResponse:
    """An event, its parts written as dicts."""
    return ChatStreamResponse(**members)


@st.composite
def streams(draw: st.DrawFn, response: ChatResponse) -> list[ChatStreamResponse]:
    """The events of *response*: blocks one after the other, tool calls likewise, citations between anything."""
    message = response.message
    start = event_of(message_start={"id": response.id, "role": message.role})
    end = event_of(message_end={"finish_reason": response.finish_reason})
    for name in ("usage", "receipt"):
        if response.HasField(name):
            getattr(end.message_end, name).CopyFrom(getattr(response, name))
    tracks = [
        _content(draw, response),
        [*_plan(draw, message), *_calls(draw, message)],
        list(_citations(message)),
    ]
    order = draw(st.permutations([number for number, track in enumerate(tracks) for _ in track]))
    remaining = [iter(track) for track in tracks]
    events = [start, *(next(remaining[number]) for number in order), end]
    for place, text in response.extra_json.items():
        _put(events, place, text)
    return events


def _cut(draw: st.DrawFn, text: str, *, pieces_min: int = 0) -> list[str]:
    """Cuts *text* into pieces, some of them empty."""
    places = draw(st.lists(st.integers(0, len(text)), min_size=max(pieces_min - 1, 0), max_size=pieces_min + 3))
    return [text[before:after] for before, after in pairwise([0, *sorted(places), len(text)])]


def _content(draw: st.DrawFn, response: ChatResponse) -> list[ChatStreamResponse]:
    events = []
    waiting = list(response.logprobs)
    for index, block in enumerate(response.message.content):
        kind = block.WhichOneof("block")
        assert kind is not None
        started = block if kind == "other_json" else {kind: ""}
        events.append(event_of(content_start={"index": index, "content": started}))
        pieces = [] if kind == "other_json" else _cut(draw, getattr(block, kind), pieces_min=len(waiting))
        for piece in pieces:
            event = event_of(content_delta={"index": index, kind: piece})
            if waiting:
                event.content_delta.logprobs.CopyFrom(waiting.pop(0))
            events.append(event)
        events.append(event_of(content_end={"index": index}))
    return events


def _plan(draw: st.DrawFn, message: ChatMessage) -> Iterator[ChatStreamResponse]:
    if message.HasField("tool_plan"):
        for piece in _cut(draw, message.tool_plan):
            yield event_of(tool_plan_delta={"tool_plan": piece})


def _calls(draw: st.DrawFn, message: ChatMessage) -> Iterator[ChatStreamResponse]:
    for index, call in enumerate(message.tool_calls):
        first, *pieces = _cut(draw, call.function.arguments)
        started = ToolCall(id=call.id, type=call.type, function=FunctionCall(name=call.function.name, arguments=first))
        yield event_of(tool_call_start={"index": index, "tool_call": started})
        for piece in pieces:
            yield event_of(tool_call_delta={"index": index, "arguments": piece})
        yield event_of(tool_call_end={"index": index})


def _citations(message: ChatMessage) -> Iterator[ChatStreamResponse]:
    for index, citation in enumerate(message.citations):
        yield event_of(citation_start={"index": index, "citation": citation})
        yield event_of(citation_end={"index": index})


_STARTS = {"content": "content_start", "tool_calls": "tool_call_start", "citations": "citation_start"}


def _put(events: list[ChatStreamResponse], place: str, text: str) -> None:
    """Puts a member unknown to the contract into the event that brings the part it belongs to."""
    match place.split("/")[1:]:
        case ["message", ("content" | "tool_calls" | "citations") as kind, index, *rest]:
            starts = [event for event in events if event.WhichOneof("event") == _STARTS[kind]]
            starts[int(index)].extra_json["/".join(("/delta/message", kind, *rest))] = text
        case ["message", *rest]:
            events[0].extra_json["/".join(("/delta/message", *rest))] = text
        case ["logprobs", index, *rest]:
            bearers = [event for event in events if event.content_delta.HasField("logprobs")]
            bearers[int(index)].extra_json["/".join(("/logprobs", *rest))] = text
        case rest:
            events[-1].extra_json["/".join(("/delta", *rest))] = text

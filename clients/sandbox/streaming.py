"""A chat's answer as the events of Cohere's stream, in the orders recorded from it."""

from collections.abc import Iterator
from typing import Any

from clients.sandbox import tokens
from clients.sandbox.reply import Reply

Event = dict[str, Any]


def events_of(reply: Reply, answer_id: str, usage: dict[str, Any]) -> list[Event]:
    """Every event from message-start to message-end."""
    return [
        _start(answer_id),
        *_content(reply),
        *_tools(reply),
        {"type": "message-end", "delta": {"finish_reason": reply.finish_reason, "usage": usage}},
    ]


def _start(answer_id: str) -> Event:
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    return {"id": answer_id, "type": "message-start", "delta": {"message": message}}


def _content(reply: Reply) -> Iterator[Event]:
    index = 0
    if reply.thinking:
        yield _content_start(index, "thinking")
        yield from (_content_delta(index, "thinking", piece) for piece in reply.thinking)
        yield {"type": "content-end", "index": index}
        index += 1
    if reply.text is None:
        return
    yield _content_start(index, "text")
    waiting = list(enumerate(reply.citations))
    length = 0
    for piece in reply.text:
        delta = _content_delta(index, "text", piece)
        if reply.logprobs:
            delta["logprobs"] = tokens.logprob_item(piece)
        yield delta
        length += len(piece)
        while reply.cites_early and waiting and waiting[0][1]["end"] <= length:
            yield from _citation(*waiting.pop(0))
    for number, citation in waiting:
        yield from _citation(number, citation)
    yield {"type": "content-end", "index": index}


def _tools(reply: Reply) -> Iterator[Event]:
    for piece in reply.tool_plan:
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for index, call in enumerate(reply.tool_calls):
        function = call["function"]
        started = {**call, "function": {"name": function["name"], "arguments": ""}}
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": started}}}
        for piece in tokens.pieces_of(function["arguments"]):
            fragment = {"function": {"arguments": piece}}
            yield {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": fragment}}}
        yield {"type": "tool-call-end", "index": index}


def _content_start(index: int, kind: str) -> Event:
    content = {"type": kind, kind: ""}
    return {"type": "content-start", "index": index, "delta": {"message": {"content": content}}}


def _content_delta(index: int, kind: str, piece: str) -> Event:
    return {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: piece}}}}


def _citation(number: int, citation: dict[str, Any]) -> Iterator[Event]:
    yield {"type": "citation-start", "index": number, "delta": {"message": {"citations": citation}}}
    yield {"type": "citation-end", "index": number}

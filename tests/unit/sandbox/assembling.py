"""An oracle apart from the product: a unary answer put together from the raw events of a stream."""

from typing import Any

import orjson

Json = dict[str, Any]


def events_in(raw: bytes) -> list[Json]:
    """The data of server-sent events, without `[DONE]`; every event's name must be its type."""
    events = []
    for block in raw.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        if not lines or lines == [b"data: [DONE]"]:
            continue
        name, data = lines
        event = orjson.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    return events


def assemble(events: list[Json]) -> Json:
    """The unary answer that a stream stands for."""
    content: list[Json] = []
    message: Json = {"role": "assistant"}
    answer: Json = {"id": events[0]["id"], "message": message}
    for event in events[1:]:
        delta = event.get("delta", {}).get("message", {})
        match event["type"]:
            case "content-start":
                assert event["index"] == len(content)
                content.append(dict(delta["content"]))
            case "content-delta":
                ((kind, text),) = delta["content"].items()
                content[event["index"]][kind] += text
                if "logprobs" in event:
                    answer.setdefault("logprobs", []).append(event["logprobs"])
            case "tool-plan-delta":
                message["tool_plan"] = message.get("tool_plan", "") + delta["tool_plan"]
            case "tool-call-start":
                call = delta["tool_calls"]
                message.setdefault("tool_calls", []).append({**call, "function": dict(call["function"])})
            case "tool-call-delta":
                call = message["tool_calls"][event["index"]]
                call["function"]["arguments"] += delta["tool_calls"]["function"]["arguments"]
            case "citation-start":
                assert event["index"] == len(message.get("citations", []))
                message.setdefault("citations", []).append(delta["citations"])
            case "message-end":
                answer |= event["delta"]
            case kind:
                assert kind in {"content-end", "tool-call-end", "citation-end"}
    if content:
        message["content"] = content
    return answer

"""Faults in what an answer says: wrong usage, wrong embeddings, errors in band, broken JSON."""

from array import array
from collections.abc import Callable
from typing import Any

import orjson
import pybase64

from clients.sandbox.faults import Fault

Json = dict[str, Any]

_WRONG_UNITS: dict[str, Callable[[int], Any]] = {
    "negative": lambda units: -1 - units,
    "nan": lambda _: "NaN",
    "fractional": lambda units: units + 0.5,
    "huge": lambda units: 10**18 + units,
}
_IN_BAND_MESSAGE = "your request resulted in an invalid generation. Try updating the messages or tool definitions"


def body_with(fault: Fault, body: Json) -> Json:
    """A unary answer with the fault in it; *body* itself is left alone."""
    body = _with_usage(fault, body)
    if fault.base64 and "embeddings" in body:
        body = {**body, "embeddings": _with_base64(fault, body["embeddings"])}
    if fault.in_band_error is not None:
        body = {**body, **_in_band(fault.in_band_error)}
    if fault.malformed == "types":
        body = dict.fromkeys(body, 7)
    if fault.padding_bytes:
        body = {**body, "padding": "x" * fault.padding_bytes}
    return body


def events_with(fault: Fault, events: list[Json]) -> list[Json]:
    """A stream's events with the fault among them; those given are left alone."""
    *events, end = events
    end = {**end, "delta": _with_usage(fault, end["delta"])}
    if fault.in_band_error is not None:
        events = events[: 1 + len(events) // 2]
        end = {"type": "message-end", "delta": _in_band(fault.in_band_error)}
    if fault.unknown_event:
        strange = {"type": "sandbox-unknown", "index": 0, "delta": {"message": {"novelty": "unheard of"}}}
        events = [events[0], strange, *events[1:], strange]
    place = _place_of_harm(events)
    if fault.malformed == "types":
        events[place] = {**events[place], "index": "first", "delta": 7}
    if fault.padding_bytes:
        events[place] = {**events[place], "padding": "x" * fault.padding_bytes}
    return [*events, end]


def encode_body(fault: Fault, body: Json) -> bytes:
    """The answer's bytes, broken if the fault says so."""
    return _broken(fault, orjson.dumps(body_with(fault, body)))


def encode_events(fault: Fault, events: list[Json]) -> list[tuple[str, bytes]]:
    """Each event's type and data, one of them broken if the fault says so."""
    encoded = [(event["type"], orjson.dumps(event)) for event in events_with(fault, events)]
    place = _place_of_harm(events)
    kind, data = encoded[place]
    encoded[place] = (kind, _broken(fault, data))
    return encoded


def _place_of_harm(events: list[Json]) -> int:
    """The third event if there are as many: a stream that has begun."""
    return min(2, len(events) - 1)


def _broken(fault: Fault, data: bytes) -> bytes:
    if fault.malformed == "syntax":
        return data[: len(data) * 2 // 3]
    if fault.malformed == "utf8":
        return data.replace(b'":"', b'":"\xff', 1)
    return data


def _in_band(error_type: str) -> Json:
    return {"finish_reason": "ERROR", "usage": {}, "error": _IN_BAND_MESSAGE, "error_type": error_type}


def _with_usage(fault: Fault, body: Json) -> Json:
    """The body with its billed units spoilt: chat has them in `usage`, embed and rerank in `meta`."""
    if fault.usage is None:
        return body
    if fault.usage == "missing":
        meta = {name: value for name, value in body.get("meta", {}).items() if name != "billed_units"}
        rest = {name: value for name, value in body.items() if name not in {"usage", "meta"}}
        return {**rest, "meta": meta} if "meta" in body else rest
    place = "usage" if "usage" in body else "meta"
    if place not in body:
        return body
    units = body[place]["billed_units"]
    if fault.usage == "null":
        spoilt = None
    else:
        spoilt = {name: _WRONG_UNITS[fault.usage](value) for name, value in units.items()}
    return {**body, place: {**body[place], "billed_units": spoilt}}


def _with_base64(fault: Fault, embeddings: Json) -> Json:
    if fault.base64 == "missing":
        return {name: value for name, value in embeddings.items() if name != "base64"}
    if "base64" not in embeddings:
        return embeddings
    return {**embeddings, "base64": [_swapped(text) for text in embeddings["base64"]]}


def _swapped(text: str) -> str:
    lanes = array("I", pybase64.b64decode(text))
    lanes.byteswap()
    return pybase64.b64encode(lanes.tobytes()).decode()

"""Typed reading of a request's JSON: each reader returns the value, or raises Cohere's 400 naming the field.

`null` is the same as an absent field, as Cohere accepts it.
"""

import math
from collections.abc import Iterable
from typing import Any

import orjson

from clients.sandbox.errors import CohereError, invalid

WARNED_FIELDS_MAX = 10

type_names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def parse(raw: bytes) -> dict[str, Any]:
    """The request's body as a JSON object."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid("request body must be valid JSON") from error
    if not isinstance(body, dict):
        raise invalid("request body must be a JSON object")
    return body


def unknown(body: dict[str, Any], known: frozenset[str]) -> str:
    """The text of `x-api-warning` for fields Cohere does not know, "" if there are none."""
    strange = sorted(ascii(name)[1:-1][:64] for name in body if name not in known)
    if not strange:
        return ""
    return "unknown field: " + ", ".join(f"parsed field '{name}'" for name in strange[:WARNED_FIELDS_MAX])


def text(body: dict[str, Any], name: str, place: str = "") -> str | None:
    """A string, or None if absent."""
    value: str | None = _typed(body, name, str, place)
    return value


def required_text(body: dict[str, Any], name: str, place: str = "") -> str:
    """A string that must be there and not be empty."""
    value = text(body, name, place)
    if not value:
        raise invalid(f"{place}{name} is required and cannot be empty")
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    """A boolean, false if absent."""
    return bool(_typed(body, name, bool))


def mapping(body: dict[str, Any], name: str, place: str = "") -> dict[str, Any] | None:
    """An object, or None if absent."""
    value: dict[str, Any] | None = _typed(body, name, dict, place)
    return value


def items(body: dict[str, Any], name: str, place: str = "") -> list[Any]:
    """An array, empty if absent."""
    return _typed(body, name, list, place) or []


def texts(body: dict[str, Any], name: str) -> list[str]:
    """An array of strings, empty if absent."""
    values = items(body, name)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise invalid(f"{name}[{position}] must be a string")
    return values


def objects(body: dict[str, Any], name: str, place: str = "") -> list[dict[str, Any]]:
    """An array of objects, empty if absent."""
    values = items(body, name, place)
    for position, value in enumerate(values):
        if not isinstance(value, dict):
            raise invalid(f"{place}{name}[{position}] must be an object")
    return values


def integer(body: dict[str, Any], name: str, low: int, high: int | None, place: str = "") -> int | None:
    """An integer within [low, high], or None if absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != math.floor(value):
        raise invalid(f"{place}{name} must be an integer")
    _check_bounds(f"{place}{name}", value, low, high)
    return int(value)


def number(body: dict[str, Any], name: str, low: float, high: float) -> float | None:
    """A number within [low, high], or None if absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid(f"{name} must be a number")
    _check_bounds(name, value, low, high)
    return value


def choice(body: dict[str, Any], name: str, allowed: Iterable[str], place: str = "") -> str | None:
    """One of *allowed*, or None if absent."""
    value = text(body, name, place)
    if value is not None and value not in allowed:
        raise invalid(f"{place}{name} must be one of [{', '.join(allowed)}], received '{value[:64]}'")
    return value


def choice_of_any_case(body: dict[str, Any], name: str, allowed: Iterable[str], place: str = "") -> str | None:
    """One of *allowed*, however written: of some values Cohere's documents and SDK disagree on the case."""
    value = text(body, name, place)
    return value and choice({name: value.upper()}, name, allowed, place)


def required(body: dict[str, Any], name: str) -> None:
    """Raises unless the field is there."""
    if body.get(name) is None:
        raise invalid(f"{name} is required")


def _typed(body: dict[str, Any], name: str, kind: type[Any], place: str = "") -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise invalid(f"{place}{name} must be of type {type_names[kind]}")
    return value


def _check_bounds(name: str, value: float, low: float, high: float | None) -> None:
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise CohereError(400, f"invalid request: {name} must be {bounds}, received {value}")

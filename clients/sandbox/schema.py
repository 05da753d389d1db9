"""A simple instance of a JSON Schema, with values taken from the user's message where they fit."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clients.sandbox.errors import invalid

DEPTH_MAX = 32
VALUES_MAX = 2000
_ITEMS_MAX = 100
_LENGTH_MAX = 10_000
_PATTERN_LENGTH_MAX = 200
_QUOTED = re.compile(r"[\"“']([^\"”']{1,200})[\"”'](?!\w)")
_NAME = re.compile(r"(?<=[a-z,:;] )[A-Z]\w+(?: [A-Z]\w+)*")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?")
_FORMATS = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "email": "someone@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user's message offers as values: the whole text, its names and quotations, its numbers."""

    text: str
    phrases: tuple[str, ...]
    numbers: tuple[float, ...]

    @classmethod
    def of(cls, text: str) -> "Hints":
        """The hints in *text*."""
        phrases = (*_QUOTED.findall(text), *_NAME.findall(text))
        return cls(text, phrases, tuple(float(number) for number in _NUMBER.findall(text)[:100]))


def instance(schema: Any, hints: Hints) -> Any:
    """A value that fits *schema*: required properties only, or all of them where none is required.

    Raises:
        CohereError: 400 if the schema needs more than `DEPTH_MAX` levels or `VALUES_MAX` values, or refers to nothing.
    """
    return _Maker(schema, hints).value(schema, 0)


class _Maker:
    def __init__(self, root: Any, hints: Hints) -> None:
        self._root = root
        self._hints = hints
        self._values_left = VALUES_MAX

    def value(self, schema: Any, depth: int) -> Any:
        self._values_left -= 1
        if depth > DEPTH_MAX or self._values_left < 0:
            raise invalid("JSON schema is nested too deep or asks for too much")
        if not isinstance(schema, dict):
            return {}
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._chosen(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list) and schema[word]:
                return self.value(_first_not_null(schema[word]), depth + 1)
        if isinstance(schema.get("allOf"), list):
            return self.value(_merged(schema), depth + 1)
        return self._typed(schema, _type_of(schema), depth)

    def _typed(self, schema: dict[str, Any], kind: str, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            low = int(_bound(schema, "minItems", 1 if "items" in schema else 0))
            high = int(_bound(schema, "maxItems", _ITEMS_MAX))
            return [self.value(schema.get("items", {}), depth + 1) for _ in range(min(low, high, _ITEMS_MAX))]
        if kind in {"integer", "number"}:
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._string(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        names = required if isinstance(required, list) and required else list(properties)
        return {
            name: self.value(properties.get(name, {"type": "string"}), depth + 1)
            for name in names
            if isinstance(name, str)
        }

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        low = int(_bound(schema, "minLength", 0))
        high = int(_bound(schema, "maxLength", _LENGTH_MAX))
        pattern = schema.get("pattern")
        fallback = ""
        for candidate in (
            *self._hints.phrases,
            self._hints.text.strip()[:80],
            "text",
            "A1",
            "a",
            "1",
            "2025",
        ):
            fitted = candidate[: min(high, _LENGTH_MAX)].ljust(min(low, _LENGTH_MAX), ".")
            fallback = fallback or fitted
            if not isinstance(pattern, str) or _matches(pattern, fitted):
                return fitted
        return fallback

    def _number(self, schema: dict[str, Any], *, whole: bool) -> float:
        low = max(_bound(schema, "minimum", -math.inf), _bound(schema, "exclusiveMinimum", -math.inf))
        high = min(_bound(schema, "maximum", math.inf), _bound(schema, "exclusiveMaximum", math.inf))
        step = _bound(schema, "multipleOf", 0)
        for candidate in map(float, (*self._hints.numbers, *_within(low, high, step))):
            fits = low <= candidate <= high and candidate not in _excluded(schema)
            if fits and (not step or candidate % step == 0) and (not whole or candidate.is_integer()):
                return int(candidate) if candidate.is_integer() else candidate
        return 0

    def _chosen(self, values: list[Any]) -> Any:
        text = self._hints.text.lower()
        return next((value for value in values if isinstance(value, str) and value.lower() in text), values[0])

    def _referred(self, pointer: Any) -> Any:
        place = self._root
        for part in str(pointer).removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(place, dict) or name not in place:
                raise invalid(f"JSON schema refers to nothing: {str(pointer)[:128]}")
            place = place[name]
        return place


def _first_not_null(schemas: list[Any]) -> Any:
    return next((one for one in schemas if not (isinstance(one, dict) and one.get("type") == "null")), schemas[0])


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    merged = {name: value for name, value in schema.items() if name != "allOf"}
    for part in schema["allOf"]:
        for name, value in part.items() if isinstance(part, dict) else ():
            old = merged.get(name)
            if name == "properties" and isinstance(old, dict) and isinstance(value, dict):
                merged[name] = {**old, **value}
            elif name == "required" and isinstance(old, list) and isinstance(value, list):
                merged[name] = [*old, *value]
            else:
                merged[name] = value
    return merged


def _type_of(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "array" if "items" in schema else "object" if "properties" in schema else "string"


def _bound(schema: dict[str, Any], name: str, default: float) -> float:
    value = schema.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _excluded(schema: dict[str, Any]) -> tuple[Any, Any]:
    return schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")


def _within(low: float, high: float, step: float) -> Iterator[float]:
    """Simple numbers between the bounds: 1 and 0, then those next to a bound, then the middle."""
    yield from (1, 0)
    start = low if math.isfinite(low) else high if math.isfinite(high) else 0.0
    if step and math.isfinite(start / step):
        yield from (
            math.ceil(start / step) * step,
            (math.floor(start / step) + 1) * step,
            math.floor(high / step) * step if math.isfinite(high / step) else 0,
        )
    yield from (
        float(math.ceil(start)),
        float(math.floor(start) + 1),
        float(math.ceil(start) - 1),
        float(start),
    )
    if math.isfinite(low) and math.isfinite(high):
        yield (low + high) / 2


def _matches(pattern: str, text: str) -> bool:
    if len(text) > _PATTERN_LENGTH_MAX:
        return True
    try:
        return re.search(pattern, text) is not None
    except (re.error, RecursionError, OverflowError):
        return True

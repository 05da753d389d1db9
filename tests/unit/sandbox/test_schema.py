import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.sandbox.errors import CohereError
from clients.sandbox.schema import Hints, instance

HINTS = Hints.of("Send 12 roses from Lisbon to 'Ana Reis', quickly")
bounds = st.integers(-50, 50)


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3) -> dict[str, Any]:
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const"]
    kind = draw(st.sampled_from(kinds + ["object", "array", "anyOf"] * (depth > 0)))
    match kind:
        case "integer" | "number":
            low = draw(bounds)
            return {"type": kind, "minimum": low, "maximum": low + draw(st.integers(0, 30))}
        case "string":
            low = draw(st.integers(0, 12))
            return {"type": kind, "minLength": low, "maxLength": low + draw(st.integers(0, 12))}
        case "enum":
            return {"enum": draw(st.lists(st.one_of(st.text(max_size=5), bounds), min_size=1, max_size=3))}
        case "const":
            return {"const": draw(st.one_of(st.text(max_size=5), bounds))}
        case "array":
            low = draw(st.integers(0, 3))
            return {"type": kind, "items": draw(schemas(depth - 1)), "minItems": low, "maxItems": low + 1}
        case "anyOf":
            return {"anyOf": [draw(schemas(depth - 1)), {"type": "null"}]}
        case "object":
            properties = draw(st.dictionaries(st.text(max_size=4), schemas(depth - 1), max_size=3))
            required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
            return {"type": kind, "properties": properties, "required": required}
    return {"type": kind}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """A judge of its own for the words that `schemas` uses."""
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    match schema["type"]:
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case "number":
            return type(value) in {int, float} and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            return isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
        case "array":
            sized = schema["minItems"] <= len(value) <= schema["maxItems"]
            return sized and all(fits(one, schema["items"]) for one in value)
        case "object":
            known = schema["properties"]
            return set(schema["required"]) <= set(value) and all(fits(one, known[name]) for name, one in value.items())
        case "boolean":
            return isinstance(value, bool)
    return value is None


@given(schema=schemas())
@settings(deadline=None, max_examples=300)
def test_an_instance_fits_its_schema(schema: dict[str, Any]) -> None:
    assert fits(instance(schema, HINTS), schema)


def test_values_are_taken_from_the_message() -> None:
    schema = {
        "type": "object",
        "properties": {
            "who": {"type": "string"},
            "count": {"type": "integer", "minimum": 10},
            "how": {"enum": ["slowly", "quickly"]},
        },
    }
    assert instance(schema, HINTS) == {"who": "Ana Reis", "count": 12, "how": "quickly"}


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ({"type": "string", "format": "date"}, r"\d{4}-\d{2}-\d{2}"),
        ({"type": "string", "format": "email"}, r"\w+@\w+\.\w+"),
        ({"type": "string", "pattern": "^[A-Z][0-9]$"}, "[A-Z][0-9]"),
    ],
)
def test_formats_and_simple_patterns_are_kept(schema: dict[str, Any], pattern: str) -> None:
    assert re.fullmatch(pattern, instance(schema, HINTS))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "exclusiveMinimum": 12, "multipleOf": 5}, 15),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
        ({"type": ["null", "boolean"]}, True),
        ({"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"required": ["a"]}]}, {"a": 1}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"const": "found"}}}, "found"),
    ],
)
def test_other_words_of_json_schema_are_understood(schema: dict[str, Any], value: Any) -> None:
    assert instance(schema, HINTS) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
    ],
)
def test_a_schema_without_end_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(CohereError, match="JSON schema"):
        instance(schema, HINTS)

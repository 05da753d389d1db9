import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.codec.json_text import DEPTH_MAX, problem_of, spliced, text_of


def nested(depth: int, *, arrays: bool) -> str:
    """An object of exactly *depth* levels."""
    inner = "[" * (depth - 1) + "]" * (depth - 1) if arrays else '{"a":' * (depth - 1) + "0" + "}" * (depth - 1)
    return '{"a":' + inner + "}"


@pytest.mark.parametrize("text", ["{}", ' {"a": 1}\n', '{"a":[{"b":null}]}', '{"a":36893488147419103232}'])
def test_one_json_object_has_no_problem(text: str) -> None:
    assert problem_of(text) is None


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", '{"a":1}, "stream": true', '{"a":1} {}', '{"a":NaN}', '{"a":1e400}', '{"a":"\\ud800"}', "{'a':1}"],
)
def test_what_is_not_one_json_value_has_a_problem(text: str) -> None:
    assert (problem_of(text) or "").startswith("is not JSON: ")


@pytest.mark.parametrize("text", ["[]", "[{}]", '"{}"', "1", "null", "true"])
def test_json_that_is_no_object_has_a_problem(text: str) -> None:
    assert problem_of(text) == "is not a JSON object"


@pytest.mark.parametrize("arrays", [True, False])
def test_nesting_is_bounded_exactly(*, arrays: bool) -> None:
    assert problem_of(nested(DEPTH_MAX, arrays=arrays)) is None
    assert problem_of(nested(DEPTH_MAX + 1, arrays=arrays)) == "is nested deeper than 32"
    assert problem_of(nested(1000, arrays=arrays)) == "is nested deeper than 32"


def test_nesting_beyond_what_the_parser_takes_is_a_problem() -> None:
    assert problem_of(nested(100_000, arrays=True)) is not None


def test_many_brackets_side_by_side_or_in_strings_are_no_nesting() -> None:
    assert problem_of('{"a":[' + ",".join(["[]"] * 1000) + '],"b":"' + "[{" * 1000 + '"}') is None


def test_a_problem_quotes_nothing_of_the_text() -> None:
    assert "secret" not in (problem_of('{"secret": secret}') or "secret")


@pytest.mark.parametrize("text", ['{"a":1}, "stream": true', "[]", nested(DEPTH_MAX + 1, arrays=True)])
def test_nothing_with_a_problem_is_spliced(text: str) -> None:
    with pytest.raises(ValueError, match="JSON text is n"):
        spliced(text)


def test_what_is_spliced_stands_as_it_was_written() -> None:
    text = '{ "z": 1.50, "a": 123456789012345678901234567890 }'

    assert orjson.dumps({"a": spliced(text)}) == b'{"a":' + text.encode() + b"}"


@settings(deadline=None)
@given(st.text())
def test_a_text_without_a_problem_is_json(text: str) -> None:
    if problem_of(text) is None:
        assert isinstance(orjson.loads(text), dict)


def test_text_keeps_order_and_64_bit_integers() -> None:
    text = '{"z":18446744073709551615,"a":-9223372036854775808}'

    assert text_of(orjson.loads(text)) == text

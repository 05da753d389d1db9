"""Free-form JSON as text: tools' schemas, documents, members without a field.

Text is spliced into requests as it was written, since key order reaches the model and numbers above 2^64
would not survive a parser. `orjson.Fragment` does not look at what it splices: `{"a":1}, "stream": true`
would smuggle a member into the request. Hence nothing is spliced unchecked, whatever was checked before.
"""

import orjson

DEPTH_MAX = 32
"""How deep a request's free-form JSON may nest, the outermost object included."""


def problem_of(text: str) -> str | None:
    """Says why *text* may not be spliced, in words for the caller, or None if it is one JSON object.

    Returns:
        None for a JSON object nested at most `DEPTH_MAX` deep; else a predicate such as "is not a JSON
        object", without any of the text's content.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"is not JSON: {error.msg} at character {error.pos}"
    if type(value) is not dict:
        return "is not a JSON object"
    # Counting is much cheaper than walking, and settles nearly every text.
    if text.count("{") + text.count("[") > DEPTH_MAX and _depth_exceeds(text, DEPTH_MAX):
        return f"is nested deeper than {DEPTH_MAX}"
    return None


def spliced(text: str) -> orjson.Fragment:
    """The JSON object *text*, to be written by `orjson.dumps` as it stands.

    Raises:
        ValueError: It is not one JSON object of at most `DEPTH_MAX` levels.
    """
    problem = problem_of(text)
    if problem is not None:
        raise ValueError(f"JSON text {problem}")
    return orjson.Fragment(text)


def text_of(value: object) -> str:
    """The JSON text of a parsed value. Order and 64-bit integers are kept; larger ones were floats already.

    Raises:
        TypeError: It is nested deeper than orjson writes (254).
    """
    return orjson.dumps(value).decode()


def _depth_exceeds(text: str, depth_max: int) -> bool:
    """Tells whether valid JSON nests deeper; a megabyte of brackets must not cost a second of Python."""
    # Escapes first, then every other piece between quotes is a string. No regular expression: one would hold the
    # interpreter for a tenth of a second.
    unescaped = text.encode().replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(_ROUND, _NO_BRACKETS)
    for _ in range(depth_max):
        if not brackets:
            return False
        brackets = brackets.replace(b"()", b"")  # one pass: the innermost level, and no other
    return bool(brackets)


_ROUND = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))

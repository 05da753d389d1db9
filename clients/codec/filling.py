"""Fills a message from a JSON object, member by member: the one loop under all decoders.

A table says how each member Cohere documents becomes a field; a member that is not in the table is kept in
the answer's `extra_json`, under its JSON Pointer (RFC 6901). Null and absent are one for documented members.
Where a field cannot tell Cohere's "" or a missing number from its default, that is kept there, too, as `""`
or `null`, so that the answer can be rebuilt.

Filling in place costs half of what building messages by constructors does (measured: 5 µs for a chat answer).
"""

import contextlib
import enum
import struct
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import orjson

from clients.codec.errors import MalformedAnswer
from clients.codec.json_text import text_of


class Kind(enum.Enum):
    """How a member without structure becomes the field of its name."""

    TEXT = "a string whose field reads absent as empty"
    VALUE = "a string, or an integer, that its field takes as it is"
    NUMBER = "a JSON number"
    FLAG = "true or false"
    IMPLIED = "nothing: the message says it by its type"


TEXT: Final = Kind.TEXT
VALUE: Final = Kind.VALUE
NUMBER: Final = Kind.NUMBER
FLAG: Final = Kind.FLAG
IMPLIED: Final = Kind.IMPLIED

Extra: TypeAlias = MutableMapping[str, str]
"""The answer's `extra_json`."""
Path: TypeAlias = tuple[Any, ...]
"""Where an object stands: () for the answer, else (path of the parent, member name or list index)."""
Filler: TypeAlias = Callable[[Any, Any, Extra, Path], None]
"""Fills a message from the value of one member: (message, value, extra, path of the value)."""
Table: TypeAlias = Mapping[str, Any]
"""Member name → `Kind`, a `Filler`, or a dict: the table of the message in the field of that name."""

FAULTS: Final = (TypeError, ValueError, AttributeError, LookupError, OverflowError, struct.error)
"""What a value of another type, or out of range, raises on its way into a message."""


def parsed(body: bytes) -> Any:
    """The JSON value of *body*.

    Raises:
        MalformedAnswer: It is not JSON in UTF-8, or nested deeper than orjson reads (1024).
    """
    with contextlib.suppress(orjson.JSONDecodeError):  # which holds the body: it must not become a context
        return orjson.loads(body)
    raise MalformedAnswer("the answer is not JSON")


def fill(value: Any, message: Any, table: Table, extra: Extra, path: Path) -> None:
    """Fills *message* from the JSON object *value* at *path*, as *table* says; *extra* takes all else.

    Raises:
        MalformedAnswer: *value* is no object, or a member has another type than documented.
    """
    key = None
    try:
        for key, item in value.items():
            how = table.get(key)
            if how is None:
                keep(extra, (path, key), item)
            elif item is None:
                pass
            elif how is TEXT:
                setattr(message, key, item)
                if not item:
                    keep(extra, (path, key), item)
            elif how is NUMBER:
                if item is True or item is False:  # protobuf would take them as 1 and 0
                    raise TypeError
                setattr(message, key, item)
            elif type(how) is dict:
                inner = getattr(message, key)
                inner.SetInParent()
                fill(item, inner, how, extra, (path, key))
            elif how is VALUE:
                setattr(message, key, item)
            elif how is FLAG:
                if item is not True and item is not False:  # protobuf would take integers
                    raise TypeError
                setattr(message, key, item)
            elif how is not IMPLIED:
                how(message, item, extra, (path, key))
    except FAULTS as error:
        raise malformed(error, (path, key) if key in table else path) from None


def keep(extra: Extra, path: Path, value: object) -> None:
    """Keeps the JSON text of what stands at *path*."""
    extra[pointer(path)] = text_of(value)


def keep_absence(extra: Extra, path: Path, value: Any, names: Iterable[str]) -> None:
    """Notes which members *names* the object *value* at *path* lacks, where their fields would read 0 or ""."""
    for name in names:
        if value.get(name) is None:
            extra[pointer((path, name))] = "null"


def kept(_message: Any, value: Any, extra: Extra, path: Path) -> None:
    """A filler for a documented member that has no field in this place."""
    keep(extra, path, value)


def listed(value: Any) -> list[Any]:
    """*value* if it is a JSON array: protobuf's `extend` would take strings and objects apart.

    Raises:
        TypeError: It is not.
    """
    if type(value) is not list:
        raise TypeError
    return value


def each(field: str, table: Table, *never_absent: str) -> Filler:
    """A filler for an array of objects, one message each in the repeated *field*.

    Args:
        field: Where the messages go.
        table: How an object's members become fields.
        never_absent: Members whose absence the fields cannot show.
    """

    def filler(message: Any, value: Any, extra: Extra, path: Path) -> None:
        add = getattr(message, field).add
        for index, item in enumerate(listed(value)):
            fill(item, add(), table, extra, (path, index))
            keep_absence(extra, (path, index), item, never_absent)

    return filler


def texts(field: str) -> Filler:
    """A filler for an array of strings or integers."""

    def filler(message: Any, value: Any, _extra: Extra, _path: Path) -> None:
        getattr(message, field).extend(listed(value))

    return filler


def inside(table: Table, *never_absent: str) -> Filler:
    """A filler for an object whose members stand flat in the message.

    Args:
        table: How the object's members become fields of the message.
        never_absent: Members whose absence the fields cannot show.
    """

    def filler(message: Any, value: Any, extra: Extra, path: Path) -> None:
        fill(value, message, table, extra, path)
        for name in never_absent:  # as keep_absence, written out for the sake of streams
            if value.get(name) is None:
                extra[pointer((path, name))] = "null"

    return filler


def malformed(error: Exception, path: Path) -> MalformedAnswer:
    """What to raise for *error* at *path*: itself, if it names its place already."""
    if isinstance(error, MalformedAnswer):
        return error
    return MalformedAnswer(f"{pointer(path) or 'the answer'} is not as Cohere documents it")


def pointer(path: Path) -> str:
    """The JSON Pointer (RFC 6901) of *path*."""
    parts: list[str] = []
    while path:
        path, part = path
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in reversed(parts))

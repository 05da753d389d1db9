"""Strings that mean something to a database, a log, a terminal, a formatter, a template or a file system."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.identity.rpcs import RPCS

SQL = (
    "' OR '1'='1",
    "'; DROP TABLE access_key; --",
    "x' UNION SELECT digest FROM access_key --",
    "'); UPDATE budget SET frozen_at_us = 1; --",
    '" OR ""="',
    "$1 ?1 :id @id %s",
    "\\'; DELETE FROM audit; /*",
    "' AND (SELECT 1 FROM pg_sleep(9)) --",
    "a\x00'; DROP TABLE audit; --",
)
LOG = (
    'a\r\n{"event":"call","code":"OK","team":"search"}',
    '","level":"error","event":"forged","x":"',
    "\x1b[2J\x1b[31mowned\x1b]0;title\x07",
    "\x9b31m\x85next",
    "\u202egnp.exe\u2066\u2069\u200f",
    "a\u2028b\u2029c",
    "\\u000a\\r\\n\\x00",
    "\x7f\x08\x08\x08",
)
FORMAT = (
    "%s%s%n%x%(peppers)s",
    "{0}{}{call.snapshot.peppers}",
    "{self.__class__.__mro__[1].__subclasses__}",
    "${jndi:ldap://127.0.0.1/a}",
    "$(id) `id` ; id | id",
)
TEMPLATE = ("{{7*7}}{%import os%}", "<%= 7*7 %>#{7*7}", "<script>alert(1)</script>", "__proto__")
PATH = (
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "file:///etc/passwd",
    "/proc/self/environ",
    "%2e%2e%2f%00",
    "http://169.254.169.254/latest/",
)
STRINGS = (*SQL, *LOG, *FORMAT, *TEMPLATE, *PATH)
HEADER_STRINGS = tuple(each for each in STRINGS if each.isascii() and each.isprintable())
"""Those that gRPC sends as the value of metadata."""


def string_fields(descriptor: Descriptor, within: tuple[Descriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """The way to each string of a message, however deep."""
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (field,)
        elif field.message_type is not None and field.message_type not in within:
            for rest in string_fields(field.message_type, (*within, field.message_type)):
                yield (field, *rest)


def put(message: Message, way: tuple[FieldDescriptor, ...], text: str) -> None:
    """Writes a text at the end of a way, into the first element where there are many."""
    *parents, last = way
    for field in parents:
        inner = getattr(message, field.name)
        if not field.is_repeated:
            inner.SetInParent()
            message = inner
        else:
            message = inner[0] if inner else inner.add()
    if last.is_repeated:
        getattr(message, last.name)[:] = [text]
    else:
        setattr(message, last.name, text)


def requests_with_strings() -> list[tuple[str, tuple[FieldDescriptor, ...]]]:
    """Each RPC with each string of its request; of RPCs that take the same request, the first."""
    first: dict[Any, str] = {}
    for path, rpc in RPCS.items():
        first.setdefault(rpc.request.DESCRIPTOR, path)
    return [(path, way) for descriptor, path in first.items() for way in string_fields(descriptor)]

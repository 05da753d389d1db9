"""Exports the books, or a part of them, as lines of JSON that can be verified anywhere without the database.

A header comes first, then a line for each row in the order of `walk`, at last a manifest: how many lines there are of
each type, and the SHA-256 of all bytes before it. Without the manifest the export was cut off.
"""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

from service.books.sections import (
    AFTER_RECORDS,
    BEFORE_RECORDS,
    RECORDS,
    RECORDS_OF_WINDOW,
    TIME_MAX_US,
    TIME_MIN_US,
    Section,
    Window,
)
from service.books.signing import SigningKey

FORMAT = "cohort-export-1"

SECTIONS = {section.name: section for section in (*BEFORE_RECORDS, RECORDS, *AFTER_RECORDS)}
"""By the type of their lines, in their order, as the export of everything has them."""


class LineUnreadable(ValueError):
    """A line that no export has."""


class Exporter:
    """Writes one export.

    Args:
        write: Takes the bytes.
        window: What it is of.
        key: Signs the manifest; None to leave it unsigned.
    """

    def __init__(self, write: Callable[[bytes], object], window: Window, key: SigningKey | None) -> None:
        self._write = write
        self._window = window
        self._key = key
        self._hash = sha256()
        self._lines: Counter[str] = Counter()

    def begin(self, at_us: int) -> None:
        """Writes the header: the books as they were at that time."""
        start_us, end_us, team = self._window
        self._put(
            {
                "type": "header",
                "format": FORMAT,
                "at_us": at_us,
                "start_us": None if start_us == TIME_MIN_US else start_us,
                "end_us": None if end_us == TIME_MAX_US else end_us,
                "team": team or None,
            }
        )

    def take(self, section: Section, rows: list[tuple[Any, ...]]) -> None:
        """Writes the next rows."""
        lines = b"".join(line_of(section, row) for row in rows)
        self._hash.update(lines)
        self._write(lines)
        self._lines[section.name] += len(rows)

    def finish(self) -> dict[str, int]:
        """Writes the manifest; returns how many lines there are of each type."""
        digest = self._hash.digest()
        manifest: dict[str, Any] = {"type": "manifest", "lines": dict(self._lines), "sha256": digest.hex()}
        if self._key is not None:
            manifest["key"] = self._key.public.key_id
            manifest["signature"] = self._key.sign(signed_hash(digest)).hex()
        self._put(manifest)
        return dict(self._lines)

    def _put(self, fields: dict[str, Any]) -> None:
        line = orjson.dumps(fields) + b"\n"
        self._hash.update(line)
        self._write(line)


def signed_hash(digest: bytes) -> bytes:
    """What the signature of a manifest is over: a hash that no checkpoint has.

    Args:
        digest: The SHA-256 of all bytes before the manifest.
    """
    return sha256(FORMAT.encode() + digest).digest()


def line_of(section: Section, row: tuple[Any, ...]) -> bytes:
    """A row as a line; bytes become hexadecimal digits."""
    fields = {"type": section.name}
    for column, value in zip(section.columns, row, strict=True):
        fields[column] = value.hex() if isinstance(value, bytes) else value
    return orjson.dumps(fields) + b"\n"


def row_of(section: Section, fields: dict[str, Any]) -> tuple[Any, ...]:
    """The row that a line was made of.

    Raises:
        LineUnreadable: No row of the section makes this line.
    """
    try:
        row = tuple(
            bytes.fromhex(fields[column]) if column in _BYTES and fields[column] is not None else fields[column]
            for column in section.columns
        )
    except (KeyError, TypeError, ValueError):
        raise LineUnreadable(f"no line of a {section.name}") from None
    if not section.holds(row) or len(fields) != len(row) + 1:
        raise LineUnreadable(f"no line of a {section.name}")
    return row


def section_of(name: object, *, is_whole: bool) -> Section:
    """The section whose lines are of this type.

    Raises:
        LineUnreadable: There is none.
    """
    if name == RECORDS.name and not is_whole:
        return RECORDS_OF_WINDOW
    if not isinstance(name, str) or name not in SECTIONS:
        raise LineUnreadable("no line of an export")
    return SECTIONS[name]


_BYTES = frozenset({"hash", "signature", "head_hash", "before"})

"""Verifies an export without the database: first that the file is whole, then what is in it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from service.books.export import FORMAT, SECTIONS, LineUnreadable, row_of, section_of, signed_hash
from service.books.sections import Section
from service.books.signing import VerifyingKey
from service.books.verification.findings import Finding, Report
from service.books.verification.verifier import Verifier

_ROWS_AT_ONCE = 2000


class NoExport(ValueError):
    """The file does not begin as an export does."""


def verify_export(
    lines: Iterable[bytes],
    files: Mapping[str, Iterable[bytes]],
    keys: Sequence[VerifyingKey],
    told: Callable[[Finding], object],
) -> Report:
    """Verifies the lines of an export.

    Args:
        lines: All lines, with their line ends.
        files: The lines of outside files of checkpoints, by name.
        keys: Who may have signed.
        told: Called with each finding.

    Raises:
        NoExport: The first line is no header of an export.
    """
    numbered = iter(lines)
    first = next(numbered, b"")
    header = _header(first)
    is_whole = header["start_us"] is None and header["end_us"] is None and header["team"] is None
    with Verifier(told, keys, is_whole=is_whole) as verifier:
        for name, kept in files.items():
            verifier.take_file(name, kept)
        verifier.begin(header["at_us"])
        reading = _Reading(verifier, {key.key_id: key for key in keys}, first, is_whole=is_whole)
        reading.take(numbered)
        return verifier.finish()


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError:
        header = None
    if not isinstance(header, dict) or (header.get("type"), header.get("format")) != ("header", FORMAT):
        raise NoExport(f"the first line is no header of a {FORMAT}")
    if type(header.get("at_us")) is not int or not {"start_us", "end_us", "team"} <= header.keys():
        raise NoExport("its header does not say what it is of")
    return header


class _Reading:
    def __init__(self, verifier: Verifier, keys: Mapping[str, VerifyingKey], header: bytes, *, is_whole: bool) -> None:
        self._verifier = verifier
        self._report = verifier.report
        self._keys = keys
        self._hash = sha256(header)
        self._is_whole = is_whole
        self._order = list(SECTIONS)
        self._section: Section | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._lines: dict[str, int] = {}

    def take(self, lines: Iterator[bytes]) -> None:
        """Takes all lines but the header."""
        manifest = None
        for number, line in enumerate(lines, start=2):
            where = f"line {number}"
            if manifest is not None:
                self._report.broken("line_unreadable", where, "stands after the manifest")
                continue
            try:
                fields = orjson.loads(line)
            except orjson.JSONDecodeError:
                fields = None
            if isinstance(fields, dict) and fields.get("type") == "manifest":
                manifest = fields
                continue
            self._hash.update(line)
            self._take_row(fields if isinstance(fields, dict) else {}, where)
        self._pass_on()
        if manifest is None:
            self._report.broken("export_cut_off", "manifest", "missing: the export was cut off")
        else:
            self._compare(manifest)

    def _take_row(self, fields: dict[str, Any], where: str) -> None:
        try:
            section = section_of(fields.get("type"), is_whole=self._is_whole)
            row = row_of(section, fields)
        except LineUnreadable as error:
            self._report.broken("line_unreadable", where, str(error))
            return
        self._lines[section.name] = self._lines.get(section.name, 0) + 1
        if self._section is not section:
            if self._section is not None and self._order.index(section.name) < self._order.index(self._section.name):
                self._report.broken("line_moved", where, f"a {section.name} stands after a {self._section.name}")
                return
            self._pass_on()
            self._section = section
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._section is not None and self._rows:
            self._verifier.take(self._section, self._rows)
        self._rows = []

    def _compare(self, manifest: dict[str, Any]) -> None:
        digest = self._hash.digest()
        if manifest.get("lines") != self._lines:
            what = f"it counts {manifest.get('lines')} lines, there are {self._lines}"
            self._report.broken("export_changed", "manifest", what)
        if manifest.get("sha256") != digest.hex():
            self._report.broken("export_changed", "manifest", "its SHA-256 is not that of the lines before it")
        if not self._keys or "signature" not in manifest:
            return
        key = self._keys.get(str(manifest.get("key")))
        try:
            signature = bytes.fromhex(manifest["signature"])
        except (TypeError, ValueError):
            signature = b""
        if key is None or not key.has_signed(signed_hash(digest), signature):
            what = f"its signature is not by the key that it names, {manifest.get('key')}"
            self._report.broken("manifest_forged", "manifest", what)

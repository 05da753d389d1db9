"""The `[[access_keys]]` tables of a config file: taken out of it, with all else left as it is written."""

import re
import tomllib
from pathlib import Path

_HEADER = re.compile(r"\s*\[.*\]\s*(#.*)?")
_OURS = re.compile(r"""\s*\[\[\s*(?:access_keys|"access_keys"|'access_keys')\s*\]\]\s*(#.*)?""")


def without_tables(text: str) -> str | None:
    """A config without its tables of access keys; None if they are written in a way that only a person can undo.

    What stands before a table and after its last setting stays, such as comments.
    """
    kept: list[str] = []
    table: list[str] = []
    for line in text.splitlines(keepends=True):
        if _HEADER.fullmatch(line.rstrip("\r\n")):
            kept += _after_settings(table)
            table = []
            if not _OURS.fullmatch(line.rstrip("\r\n")):
                kept.append(line)
                continue
        elif not table:
            kept.append(line)
            continue
        table.append(line)
    without = "".join([*kept, *_after_settings(table)])
    return without if _differ_by_the_tables_alone(text, without) else None


def take_out(file: Path) -> Path | None:
    """Takes the tables out of a config, beside which its former text is kept; where that is.

    It is written in place: its owner, its mode and what it is mounted on stay.

    Returns:
        None if they are written in a way that only a person can undo: nothing is changed.

    Raises:
        OSError: It cannot be written, or its former text cannot be kept.
    """
    former = file.read_bytes()
    without = without_tables(former.decode())
    if without is None:
        return None
    kept = _kept_beside(file, former)
    file.write_bytes(without.encode())
    return kept


def _kept_beside(file: Path, former: bytes) -> Path:
    number = 1
    while True:
        kept = file.with_name(f"{file.name}.before-import{f'-{number}' if number > 1 else ''}")
        try:
            with kept.open("xb") as copy:
                kept.chmod(file.stat().st_mode & 0o777)
                copy.write(former)
        except FileExistsError:
            number += 1
        else:
            return kept


def _after_settings(table: list[str]) -> list[str]:
    """What follows the last setting of a table: comments and empty lines."""
    last = max((number for number, line in enumerate(table) if line.strip() and not _is_comment(line)), default=-1)
    return table[last + 1 :]


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _differ_by_the_tables_alone(text: str, without: str) -> bool:
    document = tomllib.loads(text)
    document.pop("access_keys", None)
    try:
        return tomllib.loads(without) == document
    except tomllib.TOMLDecodeError:
        return False

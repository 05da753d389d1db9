"""Exports: what is done to their lines is found."""

import hashlib
import itertools
from pathlib import Path

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.books.export import FORMAT, SECTIONS, signed_hash
from service.books.sections import Window
from service.books.signing import SigningKey
from service.books.verification.findings import INCOMPLETE
from service.books.verification.offline import NoExport, verify_export
from service.storage.database import Database
from tests.audit.exports import Lines, again, counts, exported, of_type, verified
from tests.audit.made import Made
from tests.databases import Clock


@pytest.fixture
async def made(sqlite_database: Database, tmp_path: Path, clock: Clock) -> Made:
    books = Made(sqlite_database, tmp_path, clock.shift)
    await books.write()
    return books


def inner(lines: Lines) -> tuple[int, str]:
    """The place and the name of an intent that is neither the first nor the last record of its writer."""
    places = of_type(lines, "record")
    for place, after in itertools.pairwise(places):
        fields = orjson.loads(lines[place])
        if fields["kind"] == "intent" and orjson.loads(lines[after])["writer_id"] == fields["writer_id"]:
            return place, f"writer {fields['writer_id']}/{fields['seq']}"
    raise AssertionError


def one_bit_flipped(lines: Lines) -> tuple[Lines, str, str]:
    place, where = inner(lines)
    changed = lines[place].replace(b"indexer", b"indexes")
    return [*lines[:place], changed, *lines[place + 1 :]], "record_changed", where


def a_line_deleted(lines: Lines) -> tuple[Lines, str, str]:
    place, where = inner(lines)
    return [*lines[:place], *lines[place + 1 :]], "record_missing", where


def two_lines_swapped(lines: Lines) -> tuple[Lines, str, str]:
    place, where = inner(lines)
    return [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]], "record_repeated", where


def a_line_repeated(lines: Lines) -> tuple[Lines, str, str]:
    place, where = inner(lines)
    return [*lines[: place + 1], *lines[place:]], "record_repeated", where


def a_record_moved_to_another_writer(lines: Lines) -> tuple[Lines, str, str]:
    places = of_type(lines, "record")
    fields = orjson.loads(lines[places[1]])
    moved = [*lines[: places[1]], *lines[places[2] : places[-1] + 1], lines[places[1]], *lines[places[-1] + 1 :]]
    return moved, "record_moved", f"writer {fields['writer_id']}/{fields['seq']}"


def a_section_moved(lines: Lines) -> tuple[Lines, str, str]:
    places = of_type(lines, "checkpoint")
    rest = [line for place, line in enumerate(lines) if place not in places]
    moved = [*rest[:-1], *(lines[place] for place in places), rest[-1]]
    return moved, "line_moved", f"line {len(lines) - len(places)}"


def a_checkpoint_repeated(lines: Lines) -> tuple[Lines, str, str]:
    place = of_type(lines, "checkpoint")[1]
    return [*lines[: place + 1], *lines[place:]], "checkpoint_repeated", "checkpoint 2"


def a_line_made_unreadable(lines: Lines) -> tuple[Lines, str, str]:
    place = of_type(lines, "hold")[2]
    return [*lines[:place], lines[place][1:], *lines[place + 1 :]], "line_unreadable", f"line {place + 1}"


def a_line_of_another_type(lines: Lines) -> tuple[Lines, str, str]:
    place = of_type(lines, "hold")[2]
    changed = lines[place].replace(b'"type":"hold"', b'"type":"grip"')
    return [*lines[:place], changed, *lines[place + 1 :]], "line_unreadable", f"line {place + 1}"


def a_number_written_as_text(lines: Lines) -> tuple[Lines, str, str]:
    place = of_type(lines, "period")[0]
    fields = orjson.loads(lines[place]) | {"committed_nanos": "0"}
    changed = orjson.dumps(fields) + b"\n"
    return [*lines[:place], changed, *lines[place + 1 :]], "line_unreadable", f"line {place + 1}"


def a_charge_edited(lines: Lines) -> tuple[Lines, str, str]:
    place = next(place for place in of_type(lines, "hold") if b'"settled"' in lines[place])
    fields = orjson.loads(lines[place]) | {"charge_nanos": 1}
    changed = orjson.dumps(fields) + b"\n"
    return [*lines[:place], changed, *lines[place + 1 :]], "hold_changed", f"hold {fields['call_id']}/1"


LINE_TAMPERINGS = (
    one_bit_flipped, a_line_deleted, two_lines_swapped, a_line_repeated, a_record_moved_to_another_writer,
    a_section_moved, a_checkpoint_repeated, a_line_made_unreadable, a_line_of_another_type, a_number_written_as_text,
    a_charge_edited,
)  # fmt: skip


async def test_what_is_done_to_the_lines_of_an_export_is_found_with_its_place(made: Made) -> None:
    """By somebody who makes the manifest fit, and leaves its signature out."""
    lines = await exported(made)
    missed = {}
    for act in LINE_TAMPERINGS:
        tampered, kind, where = act(lines)
        for manifest_fits in (True, False):
            _, findings, _ = await verified(made, again(tampered) if manifest_fits else tampered)
            kinds = {finding.kind for finding in findings}
            located = any(finding.kind == kind and finding.where == where for finding in findings)
            if not located or not (manifest_fits or "export_changed" in kinds):
                missed[act.__name__, manifest_fits] = [str(finding) for finding in findings]
    wanted = 2 * len(LINE_TAMPERINGS)
    print(f"\ntamperings with lines of an export found and located: {wanted - len(missed)} of {wanted}")

    assert missed == {}


async def test_an_export_that_was_cut_off_is_found(made: Made) -> None:
    lines = await exported(made)
    cuts = [*range(1, len(lines), 7), len(lines) - 1]
    found = [cut for cut in cuts if "export_cut_off" in {f.kind for f in (await verified(made, lines[:cut]))[1]}]
    print(f"\ncut off exports found: {len(found)} of {len(cuts)}")

    assert found == cuts


async def test_a_manifest_signed_by_a_stranger_is_found(made: Made) -> None:
    lines = again(await exported(made), SigningKey(Ed25519PrivateKey.generate()))
    _, findings, _ = await verified(made, lines)

    assert [finding.kind for finding in findings] == ["manifest_forged"]


async def test_a_signature_over_other_lines_is_found(made: Made) -> None:
    lines = await exported(made)
    forged = orjson.loads(lines[-1]) | {"signature": "00" * 64}
    _, findings, _ = await verified(made, [*lines[:-1], orjson.dumps(forged)])

    assert [finding.kind for finding in findings] == ["manifest_forged"]


async def test_lines_after_the_manifest_are_found(made: Made) -> None:
    lines = await exported(made)
    _, findings, _ = await verified(made, [*lines, lines[-2]])

    assert [(finding.kind, finding.where) for finding in findings] == [("line_unreadable", f"line {len(lines) + 1}")]


async def test_the_manifest_counts_the_lines_and_is_signed(made: Made) -> None:
    *lines, last = await exported(made)
    manifest = orjson.loads(last)
    digest = hashlib.sha256(b"".join(lines)).digest()

    assert manifest["lines"] == counts(lines)
    assert manifest["sha256"] == digest.hex()
    assert made.key.public.has_signed(signed_hash(digest), bytes.fromhex(manifest["signature"]))
    assert set(manifest["lines"]) == set(SECTIONS)


async def test_an_export_without_public_key_or_outside_file_is_verified_but_not_completely(made: Made) -> None:
    lines = await exported(made)
    report = verify_export(lines, {}, [], told=lambda _: None)

    assert report.exit_code == INCOMPLETE
    assert len(report.unchecked) == 2
    assert "public key" in report.unchecked[0]
    assert "outside file" in report.unchecked[1]


@pytest.mark.parametrize("first", [b"", b"{}\n", b"[]\n", b"nonsense\n", b'{"type":"header","format":"other"}\n'])
def test_what_is_no_export_is_told_as_that(first: bytes) -> None:
    with pytest.raises(NoExport):
        verify_export([first] if first else [], {}, [], told=lambda _: None)


async def test_the_header_says_what_the_export_is_of(made: Made) -> None:
    whole, part = orjson.loads((await exported(made))[0]), orjson.loads((await exported(made, Window(1, 2, "x")))[0])

    assert {name: whole[name] for name in ("format", "start_us", "end_us", "team")} == {
        "format": FORMAT, "start_us": None, "end_us": None, "team": None,
    }  # fmt: skip
    assert (part["start_us"], part["end_us"], part["team"]) == (1, 2, "x")

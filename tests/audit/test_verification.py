"""What a verification says of books that nobody tampered with, or that it cannot read or check wholly."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.books.sections import RECORDS
from service.books.verification.findings import BROKEN, INCOMPLETE, INTACT, TOLD_MAX, Finding, Report
from service.books.verification.online import verify_database
from service.books.verification.verifier import Verifier
from service.storage.database import Database
from tests.audit.made import HOUR_US, Made, Process
from tests.audit.scene import Scene, in_a_scene
from tests.databases import Clock


@pytest.fixture
async def made(sqlite_database: Database, tmp_path: Path, clock: Clock) -> Made:
    books = Made(sqlite_database, tmp_path, clock.shift)
    await books.write()
    return books


async def verified(made: Made, **options: bool) -> tuple[int, list[str], list[str]]:
    """Exit code, the findings' kinds, and what was not checked."""

    async def look(scene: Scene) -> tuple[int, list[str], list[str]]:
        report, findings = await scene.verified(**options)
        return report.exit_code, [finding.kind for finding in findings], report.unchecked

    return await in_a_scene(made, look)


async def test_without_an_outside_file_it_is_not_complete(made: Made) -> None:
    code, found, unchecked = await verified(made, files=False)

    assert (code, found) == (INCOMPLETE, [])
    assert unchecked == ["what was cut off together with its checkpoints: no outside file was given"]


async def test_without_a_public_key_it_is_not_complete(made: Made) -> None:
    code, found, unchecked = await verified(made, keys=False)

    assert (code, found) == (INCOMPLETE, [])
    assert unchecked == ["signatures of checkpoints: no public key was given"]


async def test_an_outside_file_that_is_old_is_not_complete(made: Made) -> None:
    lines = made.file.read_bytes().splitlines(keepends=True)
    made.file.write_bytes(b"".join(lines[:3]))
    code, found, (unchecked,) = await verified(made)

    assert (code, found) == (INCOMPLETE, [])
    assert "what was cut off later than outside knows" in unchecked


async def test_what_no_checkpoint_has_named_for_long_is_not_complete(made: Made) -> None:
    await made.shift(HOUR_US // 2)
    code, found, (unchecked,) = await verified(made)

    assert (code, found) == (INCOMPLETE, [])
    assert "no checkpoint names what was written since" in unchecked


async def test_a_line_that_a_crash_cut_off_is_no_tampering(made: Made) -> None:
    lines = made.file.read_bytes().splitlines(keepends=True)
    cut_off = lines[2][:100] + b"\n"
    made.file.write_bytes(b"".join((*lines[:2], cut_off, *lines[2:], lines[0][:50])))

    assert await verified(made) == (INTACT, [], [])


async def test_a_line_that_stands_twice_is_no_tampering(made: Made) -> None:
    lines = made.file.read_bytes().splitlines(keepends=True)
    made.file.write_bytes(b"".join((*lines[:2], lines[1], *lines[2:])))

    assert await verified(made) == (INTACT, [], [])


async def test_empty_books_are_intact(database: Database, tmp_path: Path) -> None:
    report = await verify_database(database, {}, [], lambda _: None)

    assert report.exit_code == INCOMPLETE
    assert report.found == {}


async def test_an_open_attempt_is_no_fault_while_nobody_was_there_to_forfeit_it(
    sqlite_database: Database, tmp_path: Path, clock: Clock
) -> None:
    process = await Process.start(sqlite_database, itertools.count(1))
    await process.begin("search")
    await clock.shift(27 * HOUR_US)
    findings: list[Finding] = []
    await verify_database(sqlite_database, {}, [], findings.append)
    before = [finding.kind for finding in findings]
    await Process.start(sqlite_database, itertools.count(1))
    await verify_database(sqlite_database, {}, [], findings.append)

    assert before == []
    assert [finding.kind for finding in findings] == ["outcome_missing"]


async def test_books_verify_while_they_are_written(
    database: Database, tmp_path: Path, clock: Clock, open_another: Callable[[], Awaitable[Database]]
) -> None:
    made = Made(database, tmp_path, clock.shift)
    process = await Process.start(database, itertools.count(1))
    reader = await open_another()
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await asyncio.gather(*(process.call(team) for team in ("search", "support", "search")))
            await made.checkpoint()

    writing = asyncio.create_task(write())
    findings: list[Finding] = []
    counts = []
    for _ in range(10):
        lines = made.file.read_bytes().splitlines(keepends=True) if made.file.exists() else []
        report = await verify_database(reader, {"outside": lines}, [made.key.public], findings.append)
        counts.append(report.counted["records"])
    stop.set()
    await writing

    assert findings == []
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


async def test_text_that_is_no_utf_8_is_found_and_the_rest_is_verified(made: Made) -> None:
    async def spoil(scene: Scene) -> str:
        return scene.record(0, "outcome", 1).where

    where = await in_a_scene(made, spoil)
    writer_id, seq = where.removeprefix("writer ").split("/")
    await made.database.transact(
        lambda tx: tx.fetch(
            "UPDATE audit SET body = CAST($1 AS TEXT) WHERE writer_id = $2 AND seq = $3", b"{\xff}", writer_id, int(seq)
        )
    )
    findings: list[Finding] = []
    report = await verify_database(made.database, {}, [made.key.public], findings.append)
    records = await made.database.read(lambda tx: tx.fetch("SELECT COUNT(*) FROM audit"))
    found = {(finding.kind, finding.where) for finding in findings}

    assert ("record_missing", where) in found
    assert "unreadable" in {kind for kind, _ in found}
    assert report.exit_code == BROKEN
    assert report.counted["records"] == records[0][0] - 1


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("audit", "body", b"{}"), ("audit", "hash", "text"), ("audit", "at_us", "text"),
        ("call_hold", "hold_nanos", "text"), ("call_hold", "charge_nanos", b"5"),
        ("budget_period", "committed_nanos", "text"), ("checkpoint", "signature", "text"),
        ("audit_writer", "head_hash", "text"), ("usage_day", "calls", "text"), ("usage_quarter", "cost_nanos", b"1"),
    ],
)  # fmt: skip
async def test_a_value_of_another_type_is_found(table: str, column: str, value: Any, made: Made) -> None:
    """SQLite takes it."""

    async def spoil(scene: Scene) -> list[str]:
        ((key,),) = await scene.sql("SELECT group_concat(name) FROM pragma_table_info($1) WHERE pk > 0", table)
        await scene.sql(f"UPDATE {table} SET {column} = $1 WHERE ({key}) = (SELECT {key} FROM {table} LIMIT 1)", value)
        _, findings = await scene.verified()
        return [finding.kind for finding in findings]

    assert "unreadable" in await in_a_scene(made, spoil)


keys = st.sampled_from([
    "attempt", "state", "code", "reason", "last", "billed_units", "charge_nanos", "hold_nanos", "model", "endpoint",
    "credential_id", "period_start_us", "admitted_at_us", "price_version", "usages", "event", "attempts", "adjust_id",
    "last_checkpoint", "call_id",
])  # fmt: skip
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "OK", "settled", "frozen", "adjusted", "holds_forfeited", "writer_started", "chat"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys | st.just("input_tokens"), inner, max_size=4),
    max_leaves=8,
)
bodies = st.dictionaries(keys, values) | values


@given(st.lists(st.tuples(st.sampled_from(["intent", "outcome", "answer", "notice"]), bodies), min_size=1, max_size=6))
def test_no_body_whatever_it_holds_stops_a_verification(records: list[tuple[str, Any]]) -> None:
    findings: list[Finding] = []
    rows = [
        ("w", seq, kind, "c", "search", 0, orjson.dumps(body).decode(), bytes(32))
        for seq, (kind, body) in enumerate(records)
    ]
    with Verifier(findings.append, [], is_whole=True) as verifier:
        verifier.begin(0)
        verifier.take(RECORDS, rows)
        verifier.finish()

    assert "record_changed" in {finding.kind for finding in findings}


def test_findings_without_end_are_counted_and_no_longer_told() -> None:
    told: list[Finding] = []
    report = Report(told.append)
    for number in range(TOLD_MAX + 5):
        report.broken("record_missing", f"writer w/{number}", "is missing")

    assert len(told) == TOLD_MAX
    assert report.found.total() == TOLD_MAX + 5
    assert report.exit_code == BROKEN

"""Exports of a part of the books are verified as far as they go, and say so."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.books.sections import ALL, Window
from service.books.verification.findings import BROKEN, INCOMPLETE, INTACT
from service.storage.database import Database
from tests.audit.exports import Lines, again, exported, of_type, verified
from tests.audit.made import HOUR_US, Made
from tests.audit.scene import Scene, in_a_scene
from tests.databases import Clock


@pytest.fixture
async def made(sqlite_database: Database, tmp_path: Path, clock: Clock) -> Made:
    books = Made(sqlite_database, tmp_path, clock.shift)
    await books.write()
    return books


async def last_day(made: Made) -> Window:
    """The time of the last two writers."""

    async def look(scene: Scene) -> Window:
        return Window(start_us=scene.writers[2][-1].at_us - HOUR_US)

    return await in_a_scene(made, look)


@pytest.mark.parametrize("part", ["time", "team", "both"])
async def test_a_part_of_the_books_verifies_as_far_as_it_goes(part: str, made: Made) -> None:
    window = await last_day(made) if part != "team" else ALL
    if part != "time":
        window = window._replace(team="search")
    lines = await exported(made, window)
    code, findings, unchecked = await verified(made, lines)
    records = [orjson.loads(lines[place]) for place in of_type(lines, "record")]

    assert findings == []
    assert code == INCOMPLETE
    assert any("only a part" in what for what in unchecked)
    assert 0 < len(records) < len(of_type(await exported(made), "record"))
    assert all(record["at_us"] >= window.start_us for record in records)
    assert {record["team"] for record in records} == ({"search"} if window.team else {"", "search", "support"})


async def tampered_part(made: Made, act: Callable[[list[dict[str, Any]]], object]) -> tuple[int, set[tuple[str, str]]]:
    """Verifies a part whose records *act* has changed, with a manifest that fits."""
    lines = await exported(made, Window(team="search"))
    places = of_type(lines, "record")
    records = [orjson.loads(lines[place]) for place in places]
    act(records)
    changed = dict(zip(places, (orjson.dumps(record) + b"\n" for record in records), strict=True))
    code, findings, _ = await verified(made, again([changed.get(place, line) for place, line in enumerate(lines)]))
    return code, {(finding.kind, finding.where) for finding in findings}


async def test_a_record_changed_in_a_part_is_found(made: Made) -> None:
    where = ""

    def act(records: list[dict[str, Any]]) -> None:
        nonlocal where
        records[3]["body"] += " "
        where = f"writer {records[3]['writer_id']}/{records[3]['seq']}"

    code, found = await tampered_part(made, act)

    assert code == BROKEN
    assert ("record_changed", where) in found


async def test_records_swapped_in_a_part_are_found(made: Made) -> None:
    def act(records: list[dict[str, Any]]) -> None:
        records[3], records[4] = records[4], records[3]

    _, found = await tampered_part(made, act)

    assert {kind for kind, _ in found} == {"record_moved"}


async def test_a_record_that_a_checkpoint_names_cannot_be_rewritten_in_a_part(made: Made) -> None:
    """With a hash that fits, and what follows it."""

    async def rewrite(scene: Scene) -> tuple[Lines, str]:
        third = scene.writers[2]
        (head,) = [head for head in (await scene.checkpoint(4)).heads if head.writer_id == third[0].writer_id]
        row = third[head.seq]
        changed = dataclasses.replace(row, body=row.body.replace("key_1", "key_2"))
        await scene.edit(row, body=changed.body, hash=changed.hash_after(scene.hash_before(row)))
        return await scene.exported(Window(start_us=row.at_us - HOUR_US)), row.where

    lines, where = await in_a_scene(made, rewrite)
    _, findings, _ = await verified(made, lines)

    assert ("head_differs", where) in {(finding.kind, finding.where) for finding in findings}


async def test_an_export_verifies_the_same_from_postgres(
    postgres_database: Database, tmp_path: Path, clock: Clock
) -> None:
    made = Made(postgres_database, tmp_path, clock.shift)
    await made.write()

    assert (await verified(made, await exported(made)))[0] == INTACT
    assert (await verified(made, await exported(made, Window(team="search"))))[:2] == (INCOMPLETE, [])

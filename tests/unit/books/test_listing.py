"""Pages of the audit trail hold exactly the records that a plain filter over all of them finds, in order."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from service.books import listing
from service.books.listing import (
    CALL_AFTER_US,
    CALL_BEFORE_US,
    Listed,
    Page,
    RecordPlace,
    Wanted,
    list_records,
    made_at_us,
)
from service.books.records import Kind
from service.call import new_call_id
from service.storage.database import Database, Transaction

START_US = 1_795_000_000_000_000
STEP_US = 60_000_000
WRITERS = ("a" * 32, "b" * 32)
KINDS: tuple[Kind, ...] = ("intent", "outcome", "answer", "notice")
ENDS = (("OK", ""), ("RESOURCE_EXHAUSTED", "BUDGET_SPENT"), ("CANCELLED", ""))
_INSERT = """
INSERT INTO audit (writer_id, seq, kind, call_id, team, at_us, body, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""

CALLS = [new_call_id((START_US + number * STEP_US) * 1000, number) for number in range(8)]


def records(count: int, seed: int = 1) -> list[Listed]:
    """Records of two writers, several of them at one time; a field that a caller fills quotes another record."""
    chance = random.Random(seed)
    seqs = dict.fromkeys(WRITERS, 0)
    made = []
    for number in range(count):
        writer_id = chance.choice(WRITERS)
        code, reason = chance.choice(ENDS)
        body = orjson.dumps({"model": '"reason":"BUDGET_SPENT"', "code": code, "reason": reason}).decode()
        kind, team = chance.choice(KINDS), chance.choice(("search", "ads", ""))
        at_us = START_US + number // 3 * STEP_US
        call_id = "" if kind == "notice" else chance.choice(CALLS)
        made.append(Listed(writer_id, seqs[writer_id], kind, call_id, team, at_us, body, chance.randbytes(32)))
        seqs[writer_id] += 1
    return made


async def written(database: Database, listed: Sequence[Listed]) -> None:
    rows = [(r.writer_id, r.seq, r.kind, r.call_id, r.team, r.at_us, r.body, r.hash) for r in listed]

    async def work(tx: Transaction) -> None:
        await tx.execute_each(_INSERT, rows)

    await database.transact(work)


async def page_of(database: Database, wanted: Wanted, records_max: int, after: RecordPlace | None = None) -> Page:
    async def work(tx: Transaction) -> Page:
        return await list_records(tx, wanted, records_max, after)

    return await database.read(work)


async def pages_of(database: Database, wanted: Wanted, records_max: int) -> list[Page]:
    pages = [await page_of(database, wanted, records_max)]
    while pages[-1].end is not None:
        pages.append(await page_of(database, wanted, records_max, pages[-1].end))
    return pages


def expected(listed: Sequence[Listed], wanted: Wanted) -> list[Listed]:
    def holds(record: Listed) -> bool:
        body = orjson.loads(record.body)
        return (
            (wanted.team is None or record.team == wanted.team)
            and (wanted.kind is None or record.kind == wanted.kind)
            and (not wanted.call_id or record.call_id == wanted.call_id)
            and record.at_us >= wanted.start_us
            and (wanted.end_us is None or record.at_us < wanted.end_us)
            and (not wanted.reason or wanted.reason in {body["code"], body["reason"]})
        )

    found = [record for record in listed if holds(record)]
    return sorted(found, key=lambda r: (r.at_us, r.writer_id, r.seq), reverse=wanted.newest_first)


WANTED = {
    "everything": Wanted(None),
    "one team's": Wanted("search"),
    "of one kind": Wanted(None, kind="answer"),
    "of one call": Wanted(None, call_id=CALLS[3]),
    "of no call": Wanted(None, call_id=str(uuid.UUID(int=7))),
    "of a call id that is none": Wanted(None, call_id="seven"),
    "of a window": Wanted(None, start_us=START_US + 3 * STEP_US, end_us=START_US + 9 * STEP_US),
    "of one reason": Wanted(None, reason="BUDGET_SPENT"),
    "of one code": Wanted(None, reason="CANCELLED"),
    "of a reason with a wildcard": Wanted(None, reason="BUDGET%"),
    "of a reason in another case": Wanted(None, reason="budget_spent"),
    "of much at once": Wanted("ads", "outcome", "", START_US + STEP_US, START_US + 50 * STEP_US, "OK"),
}


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
async def test_pages_hold_what_a_plain_filter_finds_in_order_whatever_their_size(
    database: Database, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    listed = records(200)
    await written(database, listed)
    for asked in (wanted, replace(wanted, newest_first=True)):
        for records_max, scanned_max in ((1000, 20_000), (7, 20_000), (7, 10), (50, 1)):
            monkeypatch.setattr(listing, "SCANNED_MAX", scanned_max)
            pages = await pages_of(database, asked, records_max)

            assert [record for page in pages for record in page.records] == expected(listed, asked)
            assert max(len(page.records) for page in pages) <= records_max


async def test_an_empty_trail_is_one_empty_page(database: Database) -> None:
    assert await page_of(database, Wanted(None), 10) == ([], None)


async def test_a_page_looks_at_a_bounded_number_of_records(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = records(60)
    await written(sqlite_database, listed)
    monkeypatch.setattr(listing, "SCANNED_MAX", 20)
    pages = await pages_of(sqlite_database, Wanted(None, reason="NEVER"), 10)

    assert [page.records for page in pages] == [[]] * 4
    assert [page.end is None for page in pages] == [False, False, False, True]


async def test_the_records_of_a_call_are_looked_for_around_its_time(sqlite_database: Database) -> None:
    def at(seq: int, at_us: int) -> Listed:
        return Listed(WRITERS[0], seq, "outcome", CALLS[0], "search", at_us, "{}", bytes(32))

    first, last = START_US - CALL_BEFORE_US, START_US + CALL_AFTER_US - 1
    await written(sqlite_database, [at(0, first - 1), at(1, first), at(2, START_US), at(3, last), at(4, last + 1)])
    found = (await page_of(sqlite_database, Wanted(None, call_id=CALLS[0]), 10)).records

    assert [record.seq for record in found] == [1, 2, 3]


@pytest.mark.parametrize(("team", "index"), [("search", "audit_team"), (None, "audit_at")])
async def test_a_page_is_found_by_an_index(sqlite_database: Any, team: str | None, index: str) -> None:
    plans: list[str] = []

    class Explaining:
        def __init__(self, tx: Transaction) -> None:
            self._tx = tx

        async def fetch(self, sql: str, *values: Any) -> list[Any]:
            plans.extend(str(row[-1]) for row in await self._tx.fetch(f"EXPLAIN QUERY PLAN {sql}", *values))
            return await self._tx.fetch(sql, *values)

    async def work(tx: Transaction) -> None:
        explaining: Any = Explaining(tx)
        await list_records(explaining, Wanted(team, newest_first=True), 10, RecordPlace(START_US, WRITERS[0], 3))

    await sqlite_database.read(work)

    assert [plan for plan in plans if "audit" in plan]
    assert all(index in plan for plan in plans if "SCAN audit" in plan or "SEARCH audit" in plan)


def test_a_call_id_tells_when_it_was_made() -> None:
    assert [made_at_us(call_id) for call_id in CALLS] == [START_US + number * STEP_US for number in range(8)]

"""Reads the audit trail page by page, in the order of time. Each page is bounded work, however little it finds."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from service.books.records import Kind
from service.storage.database import Transaction, Value

SCANNED_MAX = 20_000
"""Records looked at for one page: what is rare is found over several pages, and none stalls a reader for long."""
CALL_BEFORE_US = 3_600_000_000
"""How much earlier than a call's id its records may be dated: the id bears a replica's time, they the database's."""
CALL_AFTER_US = 24 * 3_600_000_000
"""How much later: a call, its drain, and a database that is away meanwhile."""

_PLACE = "at_us, writer_id, seq"
_COLUMNS = "writer_id, seq, kind, call_id, team, at_us, body, hash"


class RecordPlace(NamedTuple):
    """Where a page ended."""

    at_us: int
    writer_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; all conditions hold together.

    Attributes:
        team: Whose; None for all, and for those of no team.
        kind: Of which kind; None for all.
        call_id: Of which call, "" for all. Looked for around the time that it bears.
        start_us: The earliest time, µs since the epoch.
        end_us: The time before which they were written; None for no bound.
        reason: How the attempt or the call ended: a reason or a gRPC code; "" for however it ended.
        newest_first: Which end to begin with.
    """

    team: str | None
    kind: Kind | None = None
    call_id: str = ""
    start_us: int = 0
    end_us: int | None = None
    reason: str = ""
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A record with its place in its chain; *body* is exactly the text that was hashed."""

    writer_id: str
    seq: int
    kind: Kind
    call_id: str
    team: str
    at_us: int
    body: str
    hash: bytes


class Page(NamedTuple):
    """Some records, and where the next page begins: None if there are no more now."""

    records: list[Listed]
    end: RecordPlace | None


async def list_records(tx: Transaction, wanted: Wanted, records_max: int, after: RecordPlace | None = None) -> Page:
    """Reads the next page.

    Args:
        tx: Where from; only read.
        wanted: Which records.
        records_max: How many at most. There may be fewer, even none, on a page that is not the last.
        after: Where the page before ended.
    """
    direction = "DESC" if wanted.newest_first else "ASC"
    order = f"ORDER BY at_us {direction}, writer_id {direction}, seq {direction}"
    values: list[Value] = []
    bounds = _all_of(_bounds(wanted, after), values)
    looked_at = f"FROM audit WHERE {bounds} {order}"
    last = await tx.fetch(f"SELECT {_PLACE} {looked_at} LIMIT 1 OFFSET {SCANNED_MAX - 1}", *values)
    filters = _all_of(_filters(wanted), values)
    values.append(records_max + 1)
    found = f"(SELECT {_COLUMNS} {looked_at} LIMIT {SCANNED_MAX}) AS looked_at WHERE {filters or '1 = 1'}"
    listing = f"SELECT {_COLUMNS} FROM {found} {order} LIMIT ${len(values)}"  # noqa: S608 (values are bound)
    rows = await tx.fetch(listing, *values)
    records = [Listed(*row) for row in rows[:records_max]]
    if len(rows) > records_max:
        return Page(records, RecordPlace(records[-1].at_us, records[-1].writer_id, records[-1].seq))
    return Page(records, RecordPlace(*last[0]) if last else None)


def _bounds(wanted: Wanted, after: RecordPlace | None) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """The conditions that an index serves: where to begin and where to end."""
    start_us, end_us = wanted.start_us, wanted.end_us
    if wanted.call_id:
        made_us = made_at_us(wanted.call_id)
        start_us = max(start_us, made_us - CALL_BEFORE_US)
        end_us = min(made_us + CALL_AFTER_US, made_us + CALL_AFTER_US if end_us is None else end_us)
    if wanted.team is not None:
        yield "team = {}", (wanted.team,)
    yield "at_us >= {}", (start_us,)
    if end_us is not None:
        yield "at_us < {}", (end_us,)
    if after is not None:
        # The first of the two is what the index understands.
        beyond, at_least = ("<", "<=") if wanted.newest_first else (">", ">=")
        yield f"at_us {at_least} {{}}", (after.at_us,)
        yield f"(at_us, writer_id, seq) {beyond} ({{}}, {{}}, {{}})", after


def _filters(wanted: Wanted) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """The conditions that each record is looked at for."""
    if wanted.kind is not None:
        yield "kind = {}", (wanted.kind,)
    if wanted.call_id:
        yield "call_id = {}", (wanted.call_id,)
    if wanted.reason:
        # Of text inside a member quotes are escaped, so that these can be nothing but members. LIKE would have
        # wildcards, and means other things by case in SQLite and in PostgreSQL.
        said = orjson.dumps(wanted.reason).decode()
        members = (f'"reason":{said}', f'"code":{said}')
        yield "(replace(body, {}, '') <> body OR replace(body, {}, '') <> body)", members


def _all_of(conditions: Iterable[tuple[str, tuple[Value, ...]]], values: list[Value]) -> str:
    """The conditions as SQL, their values appended to *values* in the order of the placeholders."""
    parts = []
    for condition, own in conditions:
        places = [f"${len(values) + number}" for number in range(1, len(own) + 1)]
        values.extend(own)
        parts.append(condition.format(*places))
    return " AND ".join(parts)


def made_at_us(call_id: str) -> int:
    """When a call's id was made, to the millisecond: it is a UUIDv7. 0 if it is none, and so nobody's."""
    try:
        return (uuid.UUID(call_id).int >> 80) * 1000
    except ValueError:
        return 0

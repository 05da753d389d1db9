"""Writes records into the audit trail: each gets its place in the chain of this process's writer."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from service.books.chain import ROOT, link
from service.books.records import Record
from service.storage.database import Step, Transaction, Value

_INSERT = """
INSERT INTO audit (writer_id, seq, kind, call_id, team, at_us, body, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
_BEGIN = """
INSERT INTO audit_writer (writer_id, started_at_us, head_seq, head_hash, intents, outcomes, answers, notices)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
_ADVANCE = """
UPDATE audit_writer SET head_seq = $1, head_hash = $2,
  intents = intents + $3, outcomes = outcomes + $4, answers = answers + $5, notices = notices + $6
WHERE writer_id = $7 AND head_seq = $8
RETURNING head_seq"""
_CHECKPOINT = "SELECT number, hash FROM checkpoint ORDER BY number DESC LIMIT 1"
_KINDS = ("intent", "outcome", "answer", "notice")


class ChainForked(Exception):
    """Someone else has written under this writer's name; nothing more is written under it."""


class Pen(NamedTuple):
    """Where a writer's chain ends. Immutable: a transaction that fails leaves the one before in force."""

    writer_id: str
    seq: int
    """Of the next record."""
    hash: bytes
    """Of the last one."""
    at_us: int
    """Of the last one; a chain's time never goes back."""


def fresh_pen() -> Pen:
    """A new writer. Each process start makes one, and so does a commit whose end is not known."""
    return Pen(str(uuid.uuid4()), 0, ROOT, 0)


async def write(tx: Transaction, pen: Pen, records: Sequence[Record], now_us: int) -> Pen:
    """Appends *records* and returns where the chain ends then.

    Raises:
        ChainForked: The chain does not end where *pen* says.
    """
    if pen.seq:
        (insert, advance), after = append_steps(pen, records, now_us)
        await tx.execute_each(*insert)
        if not await tx.fetch_each(*advance):
            raise ChainForked(pen.writer_id)
        return after
    records = [await _opening(tx), *records]
    rows, after = _chained(pen, records, now_us)
    await tx.execute_each(_INSERT, rows)
    await tx.fetch(_BEGIN, after.writer_id, after.at_us, after.seq - 1, after.hash, *_counts(records))
    return after


def append_steps(pen: Pen, records: Sequence[Record], now_us: int) -> tuple[tuple[Step, Step], Pen]:
    """Appends *records* to a chain that has begun; and where it ends then."""
    rows, after = _chained(pen, records, now_us)
    head: tuple[Value, ...] = (after.seq - 1, after.hash, *_counts(records), pen.writer_id, pen.seq - 1)
    return (Step(_INSERT, rows), Step(_ADVANCE, [head])), after


def _chained(pen: Pen, records: Sequence[Record], now_us: int) -> tuple[list[tuple[Value, ...]], Pen]:
    """The rows of *records*, each with its place in the chain."""
    writer_id, seq, before, at_us = pen
    at_us = max(now_us, at_us)
    rows: list[tuple[Value, ...]] = []
    for kind, call_id, team, body in ((r.kind, r.call_id, r.team, r.body) for r in records):
        before = link(before, writer_id, seq, kind, call_id, team, at_us, body)
        rows.append((writer_id, seq, kind, call_id, team, at_us, body.decode(), before))
        seq += 1
    return rows, Pen(writer_id, seq, before, at_us)


def _counts(records: Sequence[Record]) -> list[int]:
    kinds: list[str] = [record.kind for record in records]
    return [kinds.count(kind) for kind in _KINDS]


async def _opening(tx: Transaction) -> Record:
    """The first record of a writer ties its chain to what was sealed before."""
    rows = await tx.fetch(_CHECKPOINT)
    last = {"number": rows[0][0], "hash": rows[0][1].hex()} if rows else None
    return Record("notice", "", "", orjson.dumps({"event": "writer_started", "last_checkpoint": last}))

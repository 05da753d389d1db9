"""Writes a made-up history into empty books as the committer would have left it; its chain is made up, too.

Rollups come from the rollups' own code; holds and records are written row by row, records as large as real ones.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson

from bench.reports.history import REFUSED, TEAMS, Bunch, bunches
from service.books import rollups
from service.books.rollups import Counted
from service.books.usage import QUARTER_US, Units, Usage
from service.storage.database import Database, Transaction, Value
from service.storage.migrate import migrate
from service.storage.opening import open_database

WRITER = "00000000-0000-7000-8000-000000000000"
HOLD_NANOS, COST_NANOS = 40_000_000, 5_620_000
FORFEITED_EVERY = 1_000
"""One attempt in so many ends without a bill."""
UNITS = Units(input_tokens=200, output_tokens=512)
CHUNK = 10_000

_BUDGET = "INSERT INTO budget VALUES ($1, 0)"
_PERIOD = "INSERT INTO budget_period VALUES ($1, $2, $3, $4, 0) ON CONFLICT (budget_id, period_start_us) DO NOTHING"
_HOLD = """
INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome, state,
                       price_version, at_us, endpoint, model, credential_id)
VALUES ($1, 1, $2, $3, $4, $5, 1, $6, '2026-11-21.3fa9c1d2', $7, $8, $9, $10)"""
_RECORD = """
INSERT INTO audit (writer_id, seq, kind, call_id, team, at_us, body, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
_BODIES = {
    "intent": 420,
    "outcome": 460,
    "answer": 300,
}
"""Bytes of a record's body, as the service writes it."""


@dataclass(slots=True)
class _Rows:
    """What one day adds, and how much there was before."""

    records: int = 0
    attempts: int = 0
    audit: list[tuple[Value, ...]] = field(default_factory=list)
    holds: list[tuple[Value, ...]] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)

    def add(self, bunch: Bunch) -> None:
        team, endpoint, model, credential_id = bunch.names
        attempts = 0 if bunch.reason == REFUSED else 1
        forfeited = 0
        for number in range(bunch.calls):
            at_us = bunch.quarter_us + QUARTER_US * (number + 1) // (bunch.calls + 1)
            call_id = f"{at_us // 1000 >> 16:08x}-{at_us // 1000 & 0xFFFF:04x}-7{self.records:021x}"
            if not attempts:
                self._record("answer", call_id, team, at_us)
                continue
            self.attempts += 1
            unknown = self.attempts % FORFEITED_EVERY == 0
            forfeited += unknown
            charge, state = (None, "forfeited") if unknown else (COST_NANOS, "settled")
            self.holds.append(
                (call_id, team, bunch.day.start_us, HOLD_NANOS, charge, state, at_us, endpoint, model, credential_id)
            )
            self._record("intent", call_id, team, at_us)
            self._record("outcome", call_id, team, at_us + 900_000)
        billed = (bunch.calls - forfeited) * attempts
        units = Units(*(billed * unit for unit in UNITS))
        usage = Usage(
            endpoint,
            model,
            credential_id,
            bunch.reason,
            calls=bunch.calls,
            attempts=bunch.calls * attempts,
            units=units,
        )
        self.counted.append(Counted(team, usage, billed * COST_NANOS, bunch.quarter_us, bunch.day))

    def _record(self, kind: str, call_id: str, team: str, at_us: int) -> None:
        body = _body(kind, call_id)
        self.audit.append((WRITER, self.records, kind, call_id, team, at_us, body, self.records.to_bytes(32)))
        self.records += 1


def _body(kind: str, call_id: str) -> str:
    text = orjson.dumps({"attempt": 1, "principal": "bench", "request": call_id}).decode()
    return text[:-1] + ',"filling":"' + "x" * (_BODIES[kind] - len(text) - 13) + '"}'


async def _fill(url: str, records: int, tell: Callable[[str], object]) -> int:
    database = await open_database(url)
    await migrate(database)
    rows = _Rows()
    started_s = time.monotonic()

    async def count(tx: Transaction) -> None:
        days = {(each.team, each.day.start_us, each.day.end_us, COST_NANOS) for each in rows.counted}
        await tx.execute_each(_PERIOD, sorted(days))
        await rollups.count(tx, rows.counted)

    await _write(database, _BUDGET, [(team,) for team in TEAMS])
    for number, found in enumerate(bunches(records, await database.now_us())):
        rows.audit, rows.holds, rows.counted = [], [], []
        for bunch in found:
            rows.add(bunch)
        await database.transact(count)
        await _write(database, _HOLD, rows.holds)
        await _write(database, _RECORD, rows.audit)
        if number % 30 == 0:
            tell(f"filling: {rows.records:,} records, {time.monotonic() - started_s:.0f} s")
    await database.close()
    if database.engine == "postgres":
        connection = await asyncpg.connect(url)
        await connection.execute("ANALYZE")
        await connection.close()
    return rows.records


async def _write(database: Database, sql: str, rows: Sequence[Sequence[Value]]) -> None:
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        await database.transact(lambda tx, chunk=chunk: tx.execute_each(sql, chunk))  # type: ignore[misc]


def fill(url: str, records: int, tell: Callable[[str], object]) -> int:
    """Fills an empty database.

    Args:
        url: As the config names it.
        records: About how many audit records.
        tell: Told how far it is.

    Returns:
        How many there are.
    """
    return asyncio.run(_fill(url, records, tell))

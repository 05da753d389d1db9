"""What the books hold, read from their tables at once, and whether it can be true."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from service.books.chain import ROOT, link
from service.storage.database import Database, Row, Transaction

_HOLDS = """
SELECT call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, state, price_version, at_us
FROM call_hold ORDER BY call_id, attempt"""
_RECORDS = "SELECT writer_id, seq, kind, call_id, team, at_us, body, hash FROM audit ORDER BY writer_id, seq, at_us"
_WRITERS = "SELECT writer_id, head_seq, head_hash, intents, outcomes, answers, notices FROM audit_writer"
_PERIODS = "SELECT budget_id, period_start_us, committed_nanos FROM budget_period"
_ADJUSTS = "SELECT adjust_id, budget_id, period_start_us, amount_nanos FROM budget_adjust"
_USAGE = "SELECT team, day_start_us, SUM(calls), SUM(attempts), SUM(cost_nanos) FROM {} GROUP BY team, day_start_us"


@dataclass(frozen=True)
class Hold:
    call_id: str
    attempt: int
    team: str
    period_start_us: int
    hold_nanos: int
    charge_nanos: int | None
    state: str
    price_version: str
    at_us: int

    @property
    def committed_nanos(self) -> int:
        return self.hold_nanos if self.charge_nanos is None else self.charge_nanos

    @property
    def is_unresolved(self) -> bool:
        """Nobody knows what it cost."""
        return self.charge_nanos is None


@dataclass(frozen=True)
class Kept:
    """A record."""

    writer_id: str
    seq: int
    kind: str
    call_id: str
    team: str
    at_us: int
    raw: str
    hash: bytes

    @cached_property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(self.raw)
        return body

    @property
    def closes(self) -> bool:
        """It counts its call."""
        if self.kind == "outcome":
            return bool(self.body["last"])
        return self.kind == "answer" and "corrects" not in self.body


@dataclass(frozen=True)
class Facts:
    holds: list[Hold]
    records: list[Kept]
    writers: dict[str, Row]
    committed: dict[tuple[str, int], int]
    """By team and start of the day."""
    adjusts: list[Row]
    days: dict[tuple[str, int], Row]
    quarters: dict[tuple[str, int], Row]

    def of_call(self, call_id: str) -> list[Kept]:
        return [record for record in self.records if record.call_id == call_id]

    def problems(self) -> list[str]:
        """What cannot be true: chains, budgets and rollups against the records and the holds."""
        return [*self._chains(), *self._budgets(), *self._rollups(), *self._attempts()]

    def _chains(self) -> list[str]:
        found = []
        before: dict[str, tuple[int, bytes]] = {}
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for r in self.records:
            seq, digest = before.get(r.writer_id, (-1, ROOT))
            computed = link(digest, r.writer_id, r.seq, r.kind, r.call_id, r.team, r.at_us, r.raw.encode())
            if r.seq != seq + 1 or computed != r.hash:
                found.append(f"writer {r.writer_id}/{r.seq}: does not follow {seq}")
            before[r.writer_id] = r.seq, r.hash
            counts[r.writer_id][r.kind] += 1
        for writer_id, (head_seq, head_hash, *kinds) in self.writers.items():
            counted = [counts[writer_id][kind] for kind in ("intent", "outcome", "answer", "notice")]
            if before.get(writer_id) != (head_seq, head_hash) or kinds != counted:
                found.append(f"writer {writer_id}: its head is not the end of its chain")
        return found + [f"writer {writer_id}: has no head" for writer_id in before.keys() - self.writers.keys()]

    def _budgets(self) -> list[str]:
        sums: Counter[tuple[str, int]] = Counter()
        for hold in self.holds:
            sums[hold.team, hold.period_start_us] += hold.committed_nanos
        for _, team, start_us, nanos in self.adjusts:
            sums[team, start_us] += nanos
        return [
            f"budget {key}: {self.committed.get(key)} committed, {sums[key]} by its holds and adjustments"
            for key in self.committed.keys() | {key for key, nanos in sums.items() if nanos}
            if self.committed.get(key) != sums[key]
        ]

    def _rollups(self) -> list[str]:
        calls, attempts, costs = Counter[str](), Counter[str](), Counter[str]()
        for record in self.records:
            calls[record.team] += record.closes if record.kind == "outcome" else 0
            calls[record.team] += sum(usage[-1] for usage in record.body.get("usages", ()))
            if record.kind == "outcome":
                attempts[record.team] += 1
                costs[record.team] += record.body.get("charge_nanos", 0)
        found = [] if self.days == self.quarters else ["usage_day is not the sum of usage_quarter"]
        for team in calls.keys() | {team for team, _ in self.days}:
            rows = [row for (of, _), row in self.days.items() if of == team]
            summed = tuple(map(sum, zip(*rows, strict=True))) or (0, 0, 0)
            if summed != (calls[team], attempts[team], costs[team]):
                found.append(f"usage of {team!r}: {summed} is not the sum of its records")
        return found

    def _attempts(self) -> list[str]:
        """Each hold has its intent, and its one end as its outcome says it."""
        found = []
        kinds = ("intent", "outcome")
        records = {(r.kind, r.call_id, r.body["attempt"]): r for r in self.records if r.kind in kinds}
        if len(records) != sum(r.kind in kinds for r in self.records):
            found.append("an attempt has two intents or two outcomes")
        for hold in self.holds:
            intent = records.pop(("intent", hold.call_id, hold.attempt), None)
            outcome = records.pop(("outcome", hold.call_id, hold.attempt), None)
            if hold.state == "void" and not hold.price_version:
                ok = intent is None and outcome is None
            elif intent is None or intent.body["hold_nanos"] != hold.hold_nanos:
                ok = False
            elif outcome is None:
                ok = hold.state in {"open", "forfeited"} and hold.charge_nanos is None
            else:
                ok = (outcome.body["state"], outcome.body.get("charge_nanos")) == (hold.state, hold.charge_nanos)
            if not ok:
                found.append(f"{hold} against {intent} and {outcome}")
        return found + [f"record without a hold: {record}" for record in records.values()]


async def facts_of(database: Database) -> Facts:
    """Everything in one snapshot."""

    async def read(tx: Transaction) -> Facts:
        return Facts(
            [Hold(*row) for row in await tx.fetch(_HOLDS)],
            [Kept(*row) for row in await tx.fetch(_RECORDS)],
            {writer_id: tuple(head) for writer_id, *head in await tx.fetch(_WRITERS)},
            {(team, start_us): nanos for team, start_us, nanos in await tx.fetch(_PERIODS)},
            await tx.fetch(_ADJUSTS),
            await _usage(tx, "usage_day"),
            await _usage(tx, "usage_quarter"),
        )

    return await database.read(read)


async def _usage(tx: Transaction, table: str) -> dict[tuple[str, int], Row]:
    rows = await tx.fetch(_USAGE.format(table))
    return {(team, start_us): tuple(map(int, sums)) for team, start_us, *sums in rows}

"""What must hold in every run, looked at while it happens: after every transaction, and at every bill of Cohere's.

I1 billed <= limit. I2 committed <= limit. I3 committed = charges + unresolved holds + adjustments. I4 a request has a
durable intent before it. I5 an attempt ends once. I6 at rest no hold is open. I7 billed <= committed, and what lies
between is unresolved. I8 committed falls by ends and adjustments alone. I9 a hold is of the day that it is made in.
I10 nothing is refused that fits. I11 a transaction done twice is done once. I12 the rollups are the records' sums.
"""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import apsw

from service.books.batch import Written, write_batch
from service.books.chain import ROOT, link
from service.books.entries import Admission, Admitted, Entry, Settled, Settlement, Withdrawal
from service.books.errors import BudgetInFlight, BudgetShort, BudgetSpent
from service.books.trail import fresh_pen
from service.storage.errors import Conflict
from service.storage.sqlite_transaction import SqliteTransaction, drive
from tests.simulation import statements

_REPEATED, _REPEATED_MAX = 0.02, 30
_UNREACHED_NANOS = 10**15


class Oracles:
    """Watches one database and one Cohere.

    Args:
        connection: The database's, with its tables.
        limit_nanos: Of every team's day.
        zones: Of every team.
    """

    def __init__(self, connection: apsw.Connection, limit_nanos: int, zones: dict[str, ZoneInfo]) -> None:
        self._connection, self._limit_nanos, self._zones = connection, limit_nanos, zones
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.transactions = 0
        self.lost_calls: set[str] = set()
        """Of replicas that crashed meanwhile."""
        self._bills: dict[tuple[str, int], int] = {}
        self._billed: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._spent: set[tuple[str, int]] = set()
        self._repeats: list[list[Entry]] = []
        self._rng = Random(0)
        connection.create_scalar_function("violated", lambda *what: self.violated(str(what[0]), what[1]), 2)
        connection.execute(statements.WATCH)

    def violated(self, invariant: str, what: object) -> None:
        """Something does not hold."""
        self.violations.append(f"{invariant}: {what}")

    @property
    def billed_nanos(self) -> int:
        """What Cohere has billed in all."""
        return sum(self._billed.values())

    @property
    def overspent_nanos(self) -> int:
        """What it has billed above the limits."""
        return sum(max(0, nanos - self._limit_nanos) for nanos in self._billed.values())

    @property
    def exhausted_nanos(self) -> tuple[int, int]:
        """Of the days on which a call was refused because the budget was spent: what was billed, and the limits."""
        return sum(self._billed[day] for day in self._spent), self._limit_nanos * len(self._spent)

    @property
    def trail(self) -> str:
        """A digest of the ends of all writers' chains."""
        return sha256(b"".join(digest for (digest,) in self._connection.execute(statements.HEADS))).hexdigest()[:16]

    def look_at_transaction(self, result: Any, *, was_overtaken: bool) -> None:
        """One was committed just now.

        Args:
            result: What it gives.
            was_overtaken: Others committed while it ran: what it saw may be past.
        """
        self.transactions += 1
        committed = {}
        for team, start_us, nanos, expected_nanos, adjusted_nanos in self._connection.execute(statements.DAYS):
            committed[team, start_us] = nanos
            if nanos != expected_nanos:
                self.violated("I3", f"{team} has {nanos} committed, and {expected_nanos} by its holds")
            if nanos - adjusted_nanos > self._limit_nanos:
                self.violated("I2", f"{team} has {nanos} committed, {adjusted_nanos} by adjustments")
            if nanos - adjusted_nanos < self._billed[team, start_us]:
                self.violated("I7", f"{team} has {nanos} committed, and {self._billed[team, start_us]} are billed")
        if not isinstance(result, Written):
            return
        for entry, told in result.results:
            if isinstance(entry, Settlement) and isinstance(told, Settled):
                if told.committed_nanos != committed[entry.team, entry.admitted.period.start_us]:
                    self.violated("told", f"{told}, and it is {committed}")
            elif isinstance(told, BudgetShort):
                self._look_at_refusal(told, was_overtaken=was_overtaken)
        if self._rng.random() < _REPEATED and len(self._repeats) < _REPEATED_MAX:
            self.repeat_later(result)

    def _look_at_refusal(self, told: BudgetShort, *, was_overtaken: bool) -> None:
        ((start_us, committed_nanos, held_nanos),) = self._connection.execute(
            statements.STANDING, (told.budget_id, told.resets_at_us)
        )
        if isinstance(told, BudgetSpent):
            self._spent.add((told.budget_id, start_us))
        if was_overtaken:
            return
        if committed_nanos + told.hold_nanos <= told.limit_nanos:
            self.violated("I10", f"{told!r} fits: {committed_nanos} are committed")
        if (told.spent_nanos, told.held_nanos) != (committed_nanos - held_nanos, held_nanos):
            self.violated("I10", f"{told!r}: {committed_nanos} are committed, {held_nanos} held")
        fits_later = committed_nanos - held_nanos + told.hold_nanos <= told.limit_nanos
        if isinstance(told, BudgetInFlight) != fits_later:
            self.violated("I10", f"{told!r} is not the right refusal")

    def repeat_later(self, result: Any) -> None:
        """Does a transaction again at the end: what it asked for, once admitted, MUST NOT happen again."""
        if isinstance(result, Written):
            ended = (Settlement, Withdrawal)
            self._repeats.append(
                [entry for entry, told in result.results if isinstance(entry, ended) or isinstance(told, Admitted)]
            )

    def look_at_bill(self, call_id: str, attempt: int, nanos: int) -> None:
        """Cohere has received a request and bills it."""
        holds = list(self._connection.execute(statements.HOLD, (call_id, attempt)))
        intents = list(self._connection.execute(statements.INTENT, (call_id, attempt)))
        if not holds or holds[0][3] not in {"open", "forfeited"} or holds[0][4] or len(intents) != 1:
            self.violated("I4", f"a request of {call_id} with the hold {holds} and {len(intents)} intents")
        if not holds:
            return
        team, start_us, hold_nanos, _, _ = holds[0]
        if nanos > hold_nanos:
            self.violated("hold", f"{call_id} costs {nanos} and holds {hold_nanos}")
        self._bills[call_id, attempt] = nanos
        self._billed[team, start_us] += nanos
        if self._billed[team, start_us] > self._limit_nanos:
            self.violated("I1", f"{team} is billed {self._billed[team, start_us]}")

    def look_at_answer(self, end: Settlement) -> None:
        """An answer leaves: its outcome is durable."""
        rows = list(self._connection.execute(statements.END, (end.call_id, end.attempt)))
        if rows != [(end.state, end.charge_nanos, 1)]:
            self.violated("durable", f"{end.call_id} was answered as {end.state}, and is {rows}")

    def look_at_rest(self, calls: int | None) -> None:
        """Nothing goes on any more.

        Args:
            calls: How many there were, if each of them must have left a record.
        """
        self._look_at_holds()
        self._look_at_records(calls)
        self._look_at_days()
        for entries in self._repeats:
            self._repeat([entry for entry in entries if _call_of(entry) not in self.lost_calls])

    def _look_at_holds(self) -> None:
        bills = dict(self._bills)
        for call_id, attempt, hold_nanos, charge_nanos, has_outcome, state in self._connection.execute(
            statements.HOLDS
        ):
            billed_nanos = bills.pop((call_id, attempt), 0)
            if not has_outcome and state in {"open", "forfeited"} and call_id not in self.lost_calls:
                self.violated("I6", f"{call_id} is {state} at rest")
            if charge_nanos is not None and charge_nanos != billed_nanos:
                self.violated("I7", f"{call_id} is charged {charge_nanos}, and Cohere bills {billed_nanos}")
            if charge_nanos is None and hold_nanos < billed_nanos:
                self.violated("I7", f"{call_id} holds {hold_nanos}, and Cohere bills {billed_nanos}")
        if bills:
            self.violated("I4", f"Cohere bills {bills}")

    def _look_at_records(self, calls: int | None) -> None:
        for what, sql in statements.SUMS.items():
            sums = {name: sorted(self._connection.execute(each)) for name, each in sql.items()}
            if len({str(rows) for rows in sums.values()}) != 1:
                self.violated("I12", f"{what}: {sums}")
        counted = self._connection.execute(statements.CALLS).fetchall()[0][0]
        if calls is not None and counted != calls:
            self.violated("I12", f"{calls} calls, and {counted} are counted")
        heads: dict[str, tuple[int, bytes]] = {}
        for writer_id, seq, kind, call_id, team, at_us, body, digest in self._connection.execute(statements.TRAIL):
            before_seq, before = heads.get(writer_id, (-1, ROOT))
            heads[writer_id] = (seq, digest)
            if seq != before_seq + 1 or digest != link(
                before, writer_id, seq, kind, call_id, team, at_us, body.encode()
            ):
                self.violated("chain", f"{writer_id} breaks at {seq}")

    def _look_at_days(self) -> None:
        """Every day is one local date, from its first instant to the first of the next, told by the calendar alone."""
        second = timedelta(seconds=1)
        for team, start_us, end_us in self._connection.execute(statements.PERIODS):
            zone = self._zones[team]
            start, end = (datetime.fromtimestamp(at_us // 1_000_000, UTC) for at_us in (start_us, end_us))
            first, last = start.astimezone(zone).date(), (end - second).astimezone(zone).date()
            before, after = (start - second).astimezone(zone).date(), end.astimezone(zone).date()
            if not before < first == last < after:
                self.violated("day", f"{team} has a day from {start} to {end}")

    def _repeat(self, entries: list[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, Admission):
                entry.limit_nanos = _UNREACHED_NANOS
        before = self._connection.execute(statements.STATE).fetchall()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            tx = SqliteTransaction(self._connection.cursor())
            drive(write_batch(tx, entries, fresh_pen(), {}, 0))
        except Conflict:
            self._connection.execute("ROLLBACK")
            return
        after = self._connection.execute(statements.STATE).fetchall()
        self._connection.execute("ROLLBACK")
        if after != before:
            self.violated("I11", f"{[(type(entry).__name__, _call_of(entry)) for entry in entries]} happened twice")


def _call_of(entry: Entry) -> str:
    if isinstance(entry, Withdrawal):
        return entry.admission.call_id
    return entry.call_id if isinstance(entry, Admission | Settlement) else ""

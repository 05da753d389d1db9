"""The books with one thing wrong with them: what others have got wrong, and what a change here could."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from service.books import batch, books, committer, entries, holding, ledger, rollups, trail
from service.books.entries import Admission, Admitted, Entry, Settled, Settlement
from service.books.errors import BudgetSpent
from service.books.ledger import Standing
from service.books.period import Period, period_at
from service.books.records import Record
from service.storage.database import Step, Transaction
from tests.simulation import replica
from tests.simulation.replica import Call, End, Replica
from tests.simulation.scenarios import BURST, CALM, CHAOS, Scenario

Mutant = Callable[[], AbstractContextManager[Any]]
MUTANTS: dict[str, tuple[Scenario, Mutant]] = {}
"""By what is wrong: in which scenario it shows, and what makes it so."""

_DEPLOYS = replace(CHAOS, name="deploys", duration_s=30.0, outages=(), deploys_per_s=0.05)
_TTL_US = 1_000_000


def _sql(module: Any, names: str, *changes: tuple[str, str]) -> Mutant:
    """Statements without one of their conditions."""
    texts = {name: getattr(module, name) for name in names.split()}
    for name, text in texts.items():
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)  # noqa: PLW2901
        texts[name] = text
    return lambda: patch.multiple(module, **texts)


def _mutant(what: str, scenario: Scenario) -> Callable[[Callable[..., Iterator[None]]], None]:
    """Names a generator that changes something, yields, and changes it back."""

    def register(change: Callable[..., Iterator[None]]) -> None:
        MUTANTS[what] = (scenario, contextmanager(change))

    return register


MUTANTS |= {
    "the limit is not in the statement": (
        BURST,
        _sql(ledger, "_MOVE", ("committed_nanos + $1 <= $4", "$4 = $4")),
    ),
    "the day is the one of the replica's clock": (
        CHAOS,
        _sql(ledger, "_MOVE", ("AND period_start_us <= clock_us() AND clock_us() < period_end_us", "")),
    ),
    "a freeze is not in the statement": (CHAOS, _sql(ledger, "_MOVE", ("frozen = 0", "1 = 1"))),
    "a settlement counts each time it is written": (
        CHAOS,
        _sql(ledger, "_SETTLE _SETTLE_HELD", ("AND has_outcome = 0 AND state IN ('open', 'forfeited')", "")),
    ),
    "a forfeited attempt does not settle": (
        CHAOS,
        _sql(ledger, "_SETTLE _SETTLE_HELD", ("state IN ('open', 'forfeited')", "state = 'open'")),
    ),
    "what is given back goes to the newest day": (
        CHAOS,
        _sql(
            ledger,
            "_RELEASE",
            (
                "period_start_us = $3",
                "period_start_us = (SELECT MAX(period_start_us) FROM budget_period WHERE budget_id = $2 AND 0 < $3)",
            ),
        ),
    ),
}


@_mutant("the limit is checked, then the hold is taken", BURST)
def _check_then_act() -> Iterator[None]:
    look = "SELECT committed_nanos FROM budget_period WHERE budget_id = $1 AND period_start_us = $2"
    add = """
UPDATE budget_period SET committed_nanos = committed_nanos + $1 WHERE budget_id = $2 AND period_start_us = $3
RETURNING committed_nanos"""

    async def move(tx: Transaction, budget_id: str, period: Period, nanos: int, limit_nanos: int) -> int | None:
        rows = await tx.fetch(look, budget_id, period.start_us)
        if not rows or rows[0][0] + nanos > limit_nanos:
            return None
        return int((await tx.fetch(add, nanos, budget_id, period.start_us))[0][0])

    with patch.object(ledger, "move", move):
        yield


@_mutant("a hold is cut to what is left", BURST)
def _clamped() -> Iterator[None]:
    def fitting(now: Standing, asked: Sequence[Admission]) -> list[Admission]:
        left_nanos = asked[0].limit_nanos - now.committed_nanos
        taken = []
        for admission in asked:
            if left_nanos > 0:
                admission.hold_nanos = min(admission.hold_nanos, left_nanos)
                left_nanos -= admission.hold_nanos
                taken.append(admission)
        return taken

    with patch.object(holding, "_fitting", fitting):
        yield


@_mutant("every refusal says that the budget is spent", BURST)
def _always_spent() -> Iterator[None]:
    with patch.object(holding, "BudgetInFlight", BudgetSpent):
        yield


@_mutant("a hold is less than Cohere may bill", CALM)
def _small_hold() -> Iterator[None]:
    original = Replica._admission

    def admission(self: Replica, call: Call, attempt: int) -> Admission:
        made = original(self, call, attempt)
        made.hold_nanos = made.hold_nanos * 6 // 10
        return made

    with patch.object(Replica, "_admission", admission):
        yield


@_mutant("an attempt that was sent and not answered is void", CHAOS)
def _void_of_a_sent_call() -> Iterator[None]:
    original = Replica._send

    async def send(self: Replica, call: Call, attempt: int) -> End:
        end = await original(self, call, attempt)
        return End("void", 0) if end.state == "forfeited" else end

    with patch.object(Replica, "_send", send):
        yield


@_mutant("a caller who leaves is charged for what it has seen", CALM)
def _refund_on_cancel() -> Iterator[None]:
    original = Replica._send

    async def send(self: Replica, call: Call, attempt: int) -> End:
        end = await original(self, call, attempt)
        return end._replace(charge_nanos=end.charge_nanos // 2) if call.has_left and end.charge_nanos else end

    with patch.object(Replica, "_send", send):
        yield


@_mutant("the second attempt shares the hold of the first", CALM)
def _shared_hold() -> Iterator[None]:
    original = Replica._admit

    async def admit(self: Replica, call: Call, attempt: int, after: Settlement | None) -> Admitted | str:
        return await original(self, call, attempt, after) if after is None else after.admitted

    with patch.object(Replica, "_admit", admit):
        yield


@_mutant("a request is sent before its hold is durable", CALM)
def _sent_too_early() -> Iterator[None]:
    async def admit(self: books.Books, admission: Admission, after: Settlement | None = None) -> Admitted:
        now_us = self._committer._clock.now_us()
        self.submit(admission)
        return Admitted(period_at(admission.zone, now_us), now_us, admission.hold_nanos)

    with patch.object(books.Books, "admit", admit):
        yield


@_mutant("an answer leaves before its outcome is durable", CALM)
def _answered_too_early() -> Iterator[None]:
    async def settle(self: books.Books, settlement: Settlement) -> Settled:
        self.submit(settlement)
        return Settled(0)

    with patch.object(books.Books, "settle", settle):
        yield


@_mutant("a hold leaves no intent", CALM)
def _no_intent() -> Iterator[None]:
    original = trail._chained

    def chained(pen: trail.Pen, records: Sequence[Record], now_us: int) -> Any:
        return original(pen, [record for record in records if record.kind != "intent"], now_us)

    with patch.object(trail, "_chained", chained):
        yield


@_mutant("a settlement that fails is not tried again", CHAOS)
def _no_retry() -> Iterator[None]:
    def failed(self: committer.Committer, entries_failed: Sequence[Entry]) -> None:
        for entry in entries_failed:
            self._refuse(entry, "the database does not answer")

    with patch.object(committer.Committer, "_failed", failed):
        yield


@_mutant("a stop forgets the batch that is being written", _DEPLOYS)
def _forgetful_stop() -> Iterator[None]:
    async def write_batch(self: committer.Committer, entries: Sequence[Entry], timeout_s: float | None = None) -> None:
        await self._write(entries, timeout_s)

    with patch.object(committer.Committer, "_write_batch", write_batch):
        yield


@_mutant("an admission whose commit is uncertain is not withdrawn", CHAOS)
def _no_withdrawal() -> Iterator[None]:
    with patch.object(committer.Committer, "_withdraw", lambda *_: None):
        yield


@_mutant("a withdrawal that finds nothing leaves nothing", CHAOS)
def _no_tombstone() -> Iterator[None]:
    original = ledger.withdraw

    async def withdraw(tx: Transaction, admission: Admission, *args: Any) -> Any:
        known = await tx.fetch("SELECT 1 FROM call_hold WHERE call_id = $1", admission.call_id)
        return await original(tx, admission, *args) if known else None

    with patch.object(ledger, "withdraw", withdraw):
        yield


@_mutant("a caller who leaves before the hold is durable leaves it open", CHAOS)
def _not_voided() -> Iterator[None]:
    original = committer.Committer._resolve

    def resolve(self: committer.Committer, entry: Entry, result: Any) -> None:
        if not entry.done.cancelled():
            original(self, entry, result)

    with patch.object(committer.Committer, "_resolve", resolve):
        yield


@_mutant("a hold expires", CALM)
def _expiry() -> Iterator[None]:
    expire = """
UPDATE call_hold SET state = 'void', charge_nanos = 0, has_outcome = 1
WHERE budget_id = $1 AND state = 'open' AND at_us <= clock_us() - $2 RETURNING period_start_us, hold_nanos"""

    def forfeit(team: str, open_longer_than_us: int) -> entries.Work:
        async def act(tx: Transaction) -> tuple[int, None]:
            rows = await tx.fetch(expire, team, open_longer_than_us)
            for start_us, hold_nanos in rows:
                await ledger.release(tx, team, start_us, hold_nanos)
            return len(rows), None

        return entries.Work(team, act)

    with patch.object(replica, "forfeit", forfeit), patch.object(replica, "FORFEIT_AFTER_US", _TTL_US):
        yield


@_mutant("the rollups count a record twice", CALM)
def _counted_twice() -> Iterator[None]:
    original = rollups.count_steps

    def count_steps(counted: Sequence[rollups.Counted]) -> list[Step]:
        return original([*counted, *counted])

    with patch.object(rollups, "count_steps", count_steps):
        yield


def _days(period: Callable[[ZoneInfo, int], Period]) -> Iterator[None]:
    with patch.object(ledger, "period_at", period), patch.object(batch, "period_at", period):
        yield


@_mutant("a day has 24 hours", CHAOS)
def _long_days() -> Iterator[None]:
    def period(zone: ZoneInfo, at_us: int) -> Period:
        start_us = period_at(zone, at_us).start_us
        return Period(start_us, start_us + 86_400_000_000)

    yield from _days(period)


@_mutant("days begin at midnight in UTC", CHAOS)
def _utc_days() -> Iterator[None]:
    yield from _days(lambda _, at_us: period_at(entries.UTC, at_us))

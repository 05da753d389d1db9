"""Honest books to tamper with, written by the real committer: every kind of record, several writers and days."""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.books import forfeits
from service.books.books import Books
from service.books.checkpoint_file import CheckpointFile
from service.books.checkpointer import Checkpointer
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import Admission, Admitted, Note, Settlement, State, Work
from service.books.operations import Operator
from service.books.period import Period
from service.books.records import Record
from service.books.refusals import Refusals
from service.books.signing import SigningKey
from service.books.usage import UNITS, Units, Usage
from service.storage.database import Database, Transaction

HOUR_US = 3_600_000_000
LIMIT_NANOS = 10**12
HOLD_NANOS = 2_000_000
ZONES = {"search": ZoneInfo("Europe/Berlin"), "support": ZoneInfo("UTC"), "": ZoneInfo("UTC")}
MODELS = {"chat": "command-a-03-2025", "embed": "embed-v4.0"}
PRICES = "version = 'test'\n"
PRICE_VERSION = f"test.{hashlib.sha256(PRICES.encode()).hexdigest()[:8]}"

_KEEP_PRICES = """
INSERT INTO price_book (version, at_us, body) VALUES ($1, clock_us(), $2) ON CONFLICT (version) DO NOTHING"""


class Process:
    """One process of the service, as far as the books know it.

    Args:
        database: Where the books are.
        numbers: Makes call ids.
    """

    def __init__(self, database: Database, clock: DatabaseClock, numbers: "itertools.count[int]") -> None:
        self.clock = clock
        self.committer = Committer(database, clock, told=lambda _: None)
        self.books = Books(database, self.committer)
        self._numbers = numbers

    @classmethod
    async def start(cls, database: Database, numbers: "itertools.count[int]") -> "Process":
        process = cls(database, DatabaseClock(await database.now_us()), numbers)
        await process.committer.submit(Work("", _keep_prices))
        return process

    async def call(
        self,
        team: str,
        state: State = "settled",
        charge_nanos: int | None = 1_200_345,
        *,
        endpoint: str = "chat",
        reason: str = "",
        tries: int = 1,
    ) -> None:
        """One call: attempts that Cohort knew to be free, and the last one, which ends so."""
        call_id = f"{next(self._numbers):026d}"
        before = None
        for attempt in range(1, tries + 1):
            admission = self._admission(call_id, attempt, team, endpoint)
            admitted = await self.books.admit(admission, before)
            if attempt < tries:
                before = _settlement(admission, admitted, "settled", 0, "", last=False)
            else:
                await self.books.settle(_settlement(admission, admitted, state, charge_nanos, reason, last=True))

    async def begin(self, team: str) -> Callable[[int], Awaitable[Any]]:
        """A call whose attempt is open; gives what ends it."""
        admission = self._admission(f"{next(self._numbers):026d}", 1, team, "chat")
        admitted = await self.books.admit(admission)
        return lambda nanos: self.books.settle(_settlement(admission, admitted, "settled", nanos, "", last=True))

    async def refuse(self, team: str, reason: str) -> None:
        """A call that made no attempt."""
        usage = Usage("chat", "", "key_1" if team else "", reason, calls=1, attempts=0)
        body = {"rpc": "/cohort.v1.GatewayService/Chat", "code": "UNAUTHENTICATED", "reason": reason,
                "usages": [[usage.endpoint, usage.model, usage.credential_id, reason, 1]]}  # fmt: skip
        record = Record("answer", f"{next(self._numbers):026d}", team, orjson.dumps(body))
        await self.books.record(Note(team, record, (usage,), ZONES[team]))

    async def flood(self, team: str) -> None:
        """Refusals of one second, which are more than get records of their own."""
        refusals = Refusals()
        usage = Usage("embed", "", "key_1", "REQUESTS_PER_MINUTE", calls=1, attempts=0)
        for _ in range(25):
            refusals.stands_alone("indexer", team, ZONES[team], usage)
        for note in refusals.notices():
            await self.books.record(note)

    async def forfeit(self, team: str, open_longer_than_us: int) -> None:
        await self.committer.submit(forfeits.forfeit(team, open_longer_than_us))

    def _admission(self, call_id: str, attempt: int, team: str, endpoint: str) -> Admission:
        facts = {
            "attempt": attempt, "rpc": "/cohort.v1.GatewayService/Chat", "principal": "indexer",
            "model": MODELS[endpoint], "endpoint": endpoint,
            "credential_id": "key_1", "hold_nanos": HOLD_NANOS, "price_version": PRICE_VERSION,
            "request": {"bytes": 312, "hmac": "ab" * 32},
        }  # fmt: skip

        def intent(period: Period) -> bytes:
            return orjson.dumps({**facts, "period_start_us": period.start_us})

        def abandoned(admitted: Admitted) -> bytes:
            return _outcome(admission, admitted, "void", 0, "CANCELLED", last=False)

        admission = Admission(
            team, call_id, attempt, LIMIT_NANOS, ZONES[team], HOLD_NANOS, PRICE_VERSION,
            endpoint, MODELS[endpoint], "key_1", intent, abandoned,
        )  # fmt: skip
        return admission


class Made:
    """Books with everything in them that the service writes, their checkpoints' key, and an outside file.

    Args:
        database: Empty.
        folder: For the outside file.
        shift: Moves the clock of the database.
        key: Signs the checkpoints; a fresh one by default.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        shift: Callable[[int], Awaitable[None]],
        key: Ed25519PrivateKey | None = None,
    ) -> None:
        self.database = database
        self.key = SigningKey(key or Ed25519PrivateKey.generate())
        self.file = folder / "checkpoints.jsonl"
        self.shift = shift
        self.failures: list[Exception] = []
        self._checkpointer = Checkpointer(
            database, self.key, CheckpointFile(self.file), lambda _, error: self.failures.append(error)
        )

    async def write(self) -> None:
        """Three processes, one after the other; the second one dies."""
        numbers = itertools.count(1)
        first = await Process.start(self.database, numbers)
        await self._everything(first)
        await self.checkpoint()
        await first.call("support")
        second = await Process.start(self.database, numbers)
        await second.call("search", endpoint="embed")
        await self.checkpoint()
        late = await second.begin("search")
        await second.begin("support")
        await self.shift(2 * HOUR_US)
        third = await Process.start(self.database, numbers)
        for team in ("search", "support"):
            await third.forfeit(team, HOUR_US)
        await self.checkpoint()
        await self.shift(24 * HOUR_US)
        for process in (second, third):
            await process.clock.follow(self.database.now_us())
        await asyncio.gather(late(1_700_000), *(third.call(team) for team in ("search", "support") * 3))
        await self.checkpoint()
        # Less than a minute ago: no checkpoint knows of it yet.
        fourth = await Process.start(self.database, numbers)
        await asyncio.gather(*(fourth.call("search") for _ in range(4)))
        await fourth.begin("support")
        assert self.failures == []

    async def checkpoint(self) -> None:
        await self._checkpointer.round(due=True)

    async def _everything(self, process: Process) -> None:
        by = Operator("ops", "after a comparison with the invoice")
        await asyncio.gather(*(process.call("search") for _ in range(5)))
        await process.call("search", "settled", 0, reason="COHERE_REFUSED")
        await process.call("search", "forfeited", None, reason="COHERE_TIMEOUT")
        await process.call("search", tries=2)
        await process.call("support", "void", 0, reason="CANCELLED")
        await process.books.adjust("search", ZONES["search"], 5_000_000, "adjust-1", by)
        await process.books.adjust("search", ZONES["search"], -1_000_000, "adjust-2", by)
        await process.books.set_frozen("support", ZONES["support"], by, frozen=True)
        await process.refuse("support", "TEAM_FROZEN")
        await process.books.set_frozen("support", ZONES["support"], by, frozen=False)
        await process.refuse("", "CREDENTIAL_INVALID")
        await process.flood("search")
        await process.call("support", charge_nanos=2_400_000)  # more than was held


async def _keep_prices(tx: Transaction) -> tuple[None, Record]:
    await tx.fetch(_KEEP_PRICES, PRICE_VERSION, PRICES)
    body = {"event": "prices_changed", "price_version": PRICE_VERSION}
    return None, Record("notice", "", "", orjson.dumps(body))


def _settlement(
    admission: Admission, admitted: Admitted, state: State, charge_nanos: int | None, reason: str, *, last: bool
) -> Settlement:
    units = _units(charge_nanos)
    usage = Usage(
        admission.endpoint, admission.model, "key_1", reason if last else "", calls=int(last), attempts=1, units=units
    )
    body = _outcome(admission, admitted, state, charge_nanos, reason, last=last)
    record = Record("outcome", admission.call_id, admission.team, body)
    return Settlement(
        admission.team, admission.call_id, admission.attempt, admitted, state, charge_nanos, record, usage
    )


def _outcome(
    admission: Admission, admitted: Admitted, state: State, charge_nanos: int | None, reason: str, *, last: bool
) -> bytes:
    body: dict[str, Any] = {
        "attempt": admission.attempt, "state": state, "code": "UNAVAILABLE" if reason else "OK", "last": last,
        "hold_nanos": HOLD_NANOS, "model": admission.model, "endpoint": admission.endpoint,
        "period_start_us": admitted.period.start_us, "admitted_at_us": admitted.at_us,
        "credential_id": "key_1", "answer": {"bytes": 99, "hmac": "cd" * 32},
    }  # fmt: skip
    if reason:
        body["reason"] = reason
    if charge_nanos is not None:
        body["charge_nanos"] = charge_nanos
    units = {name: count for name, count in zip(UNITS, _units(charge_nanos), strict=True) if count}
    if units:
        body["billed_units"] = units
    return orjson.dumps(body)


def _units(charge_nanos: int | None) -> Units:
    return Units(input_tokens=charge_nanos // 1000, output_tokens=charge_nanos // 2000) if charge_nanos else Units()

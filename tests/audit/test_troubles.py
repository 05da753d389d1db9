"""Books that lived through trouble verify clean: commits that end unknown, outages, callers who leave, restarts."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from service.books import ledger
from service.books.errors import BooksError, BooksUnavailable
from service.books.verification.findings import Finding
from service.books.verification.online import verify_database
from service.storage.database import Database, Script, Transaction
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.steps import work_of
from tests.audit.made import HOUR_US, Made, Process
from tests.databases import Clock

T = TypeVar("T")

CALLS = 60


class _Lost(Exception):
    """Rolls back."""


class Troubled:
    """A database whose writer, while it `fails`, fails every third time; readers see the truth.

    Args:
        database: The real one.
        first: How it fails first: 0 to 2.

    Attributes:
        failures: How often it has failed.
    """

    def __init__(self, database: Database, first: int) -> None:
        self._database = database
        self.engine = database.engine
        self.warnings = database.warnings
        self.fails = False
        self.failures = 0
        self._times = itertools.count(1)
        self._ways = itertools.islice(itertools.cycle(("durable", "lost", "unavailable")), first, None)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]], *, lock_timeout_s: float | None = None) -> T:
        if not self.fails or next(self._times) % 3:
            return await self._database.transact(work, lock_timeout_s=lock_timeout_s)
        self.failures += 1
        match next(self._ways):
            case "durable":
                await self._database.transact(work, lock_timeout_s=lock_timeout_s)
            case "lost":
                with contextlib.suppress(_Lost):
                    await self._database.transact(_rolled_back(work))
            case _:
                raise DatabaseUnavailable("for a test")
        raise CommitUncertain("for a test")

    async def run(self, script: Script[T]) -> T:
        return await self.transact(work_of(script))

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._database.read(work)

    async def glance(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._database.glance(work)

    async def now_us(self) -> int:
        return await self._database.now_us()

    async def close(self) -> None:
        """The real one closes itself."""


def _rolled_back(work: Callable[[Transaction], Awaitable[object]]) -> Callable[[Transaction], Awaitable[None]]:
    async def lose(tx: Transaction) -> None:
        await work(tx)
        raise _Lost

    return lose


async def calls(process: Process, draw: random.Random) -> None:
    """Calls of which some are given up by their callers, and of which many fail."""

    async def one(number: int) -> None:
        team = draw.choice(("search", "support"))
        call = asyncio.create_task(process.call(team, tries=draw.choice((1, 1, 2))))
        await asyncio.sleep(draw.random() * 0.2)
        if draw.random() < 0.3:
            call.cancel()
        with contextlib.suppress(BooksError, asyncio.CancelledError):
            await call
        with contextlib.suppress(BooksError):
            await process.refuse(team, "BUDGET_SPENT")

    await asyncio.gather(*(one(number) for number in range(CALLS)))


async def test_a_first_call_of_the_day_that_was_never_committed_verifies_clean(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    troubled = Troubled(database, first=1)  # lost
    made = Made(database, tmp_path, clock.shift)
    process = await Process.start(troubled, itertools.count(1))
    troubled.fails = True
    for _ in range(2):  # transactions that work
        await troubled.transact(ledger.probe)
    with pytest.raises(BooksUnavailable):
        await process.call("search")
    troubled.fails = False
    assert await process.committer.close(10) == 0
    findings: list[Finding] = []

    await verify_database(database, {}, [made.key.public], findings.append)

    assert await holds(database) == [("void", "")]  # which keeps its place
    assert findings == []


async def holds(database: Database) -> list[tuple[str, str]]:
    async def work(tx: Transaction) -> list[tuple[str, str]]:
        return await tx.fetch("SELECT state, price_version FROM call_hold")

    return await database.read(work)


@pytest.mark.parametrize("seed", range(3))
async def test_books_that_lived_through_trouble_verify_clean(
    seed: int, database: Database, tmp_path: Path, clock: Clock
) -> None:
    troubled = Troubled(database, seed)
    made = Made(database, tmp_path, clock.shift)
    numbers, draw = itertools.count(1), random.Random(seed)
    findings: list[Finding] = []
    for times in (1, 2):  # the second process after the first one died
        process = await Process.start(troubled, numbers)
        await process.begin("search")
        troubled.fails = True
        while troubled.failures < 3 * times:  # a busy machine has few transactions for many calls
            await calls(process, draw)
        troubled.fails = False
        assert await process.committer.close(10) == 0
        await made.checkpoint()
        await clock.shift(27 * HOUR_US)
    last = await Process.start(database, numbers)
    for team in ("search", "support"):
        await last.forfeit(team, HOUR_US)
    await made.checkpoint()
    with made.file.open("rb") as lines:
        report = await verify_database(database, {"outside": lines}, [made.key.public], findings.append)
    print(f"\n{report.counted['records']} records of {report.counted['writers']} writers after trouble: clean")

    assert findings == []
    assert report.unchecked == []
    assert report.counted["writers"] > 3  # who does not know how a commit ended begins anew

import asyncio
import io
from typing import cast

import pytest
from google.protobuf.empty_pb2 import Empty

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.errors import BooksUnavailable, TeamFrozen
from service.books.refusals import RECORDS_MAX, Refusals
from service.call import Call
from service.context import Context
from service.interceptors.audit import AuditInterceptor
from service.snapshot import Snapshot
from service.storage.database import Database, Row
from service.telemetry.log import CallLog, LogStream


async def calls_by_reason(database: Database) -> list[Row]:
    rows = await database.read(
        lambda tx: tx.fetch("SELECT reason, CAST(SUM(calls) AS BIGINT) FROM usage_day GROUP BY reason ORDER BY reason")
    )
    return [row for row in rows if row[1]]


class Audited:
    """Calls that end as they are told to, below the interceptor."""

    def __init__(self, database: Database, clock: DatabaseClock) -> None:
        self.committer = Committer(database, clock, told=lambda _: None)
        log = CallLog(LogStream(io.BytesIO()))
        self._audit = AuditInterceptor(log, Books(database, self.committer), Refusals())

    async def run(self, error: Exception | None = None, *, on_record: bool = False) -> None:
        call = Call("/cohort.v1.GatewayService/GetUsage", cast("Snapshot", None), 60.0, on_record=on_record)

        async def proceed(_: Call, __: Context) -> Empty:
            if error is not None:
                raise error
            return Empty()

        await self._audit.intercept(call, cast("Context", None), proceed)


@pytest.fixture
async def audited(sqlite_database: Database) -> Audited:
    return Audited(sqlite_database, DatabaseClock(await sqlite_database.now_us()))


async def test_a_call_whose_caller_leaves_while_its_end_is_recorded_counts_once(
    audited: Audited, sqlite_database: Database
) -> None:
    answering = asyncio.create_task(audited.run())
    while not audited.committer.waiting:
        await asyncio.sleep(0)
    answering.cancel()
    await asyncio.wait({answering})
    await audited.committer.close(5.0)

    assert answering.cancelled()
    assert await calls_by_reason(sqlite_database) == [("CANCELLED", 1)]


async def test_in_a_flood_of_refusals_what_had_an_attempt_has_an_end_of_its_own(
    audited: Audited, sqlite_database: Database
) -> None:
    for on_record in (*[False] * (RECORDS_MAX + 5), True, True):
        with pytest.raises(TeamFrozen):
            await audited.run(TeamFrozen("demo"), on_record=on_record)

    assert await calls_by_reason(sqlite_database) == [("TEAM_FROZEN", RECORDS_MAX + 2)]


async def test_a_call_that_the_books_fail_at_a_further_attempt_has_an_end(
    audited: Audited, sqlite_database: Database
) -> None:
    for on_record in (False, True):
        with pytest.raises(BooksUnavailable):
            await audited.run(BooksUnavailable("locked"), on_record=on_record)
    await audited.committer.close(5.0)

    assert await calls_by_reason(sqlite_database) == [("BOOKS_UNAVAILABLE", 1)]

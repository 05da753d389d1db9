import asyncio
import io
from typing import cast

from google.protobuf.empty_pb2 import Empty

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.refusals import Refusals
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


async def test_a_call_whose_caller_leaves_while_its_end_is_recorded_counts_once(sqlite_database: Database) -> None:
    committer = Committer(sqlite_database, DatabaseClock(await sqlite_database.now_us()), told=lambda _: None)
    books = Books(sqlite_database, committer)
    audit = AuditInterceptor(CallLog(LogStream(io.BytesIO())), books, Refusals())
    call = Call("/cohort.v1.GatewayService/GetUsage", cast("Snapshot", None), 60.0)

    async def proceed(_: Call, __: Context) -> Empty:
        return Empty()

    answering = asyncio.create_task(audit.intercept(call, cast("Context", None), proceed))
    while not committer.waiting:
        await asyncio.sleep(0)
    answering.cancel()
    await asyncio.wait({answering})
    await committer.close(5.0)

    assert answering.cancelled()
    assert await calls_by_reason(sqlite_database) == [("CANCELLED", 1)]

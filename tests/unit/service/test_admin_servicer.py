"""AdminService on a real channel, in front of real books: what operators do, and what they are refused."""

import datetime
import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import grpc.aio
import orjson
import pytest

from cohort.v1 import admin_service_pb2, audit_pb2
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.audit_pb2 import AuditRecord, ListAuditRecordsRequest
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.usage_pb2 import Money
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.call import Call
from service.context import Context
from service.identity.principal import Principal
from service.interceptors.chain import Chain
from service.money import nanos_of
from service.rpc import RpcOptions, add_service
from service.servicers.admin import AdminServicer
from service.snapshot import BudgetTerms
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.service.stand_ins import auth_by, errors, with_the_rest

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

USD = 10**9
SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
ZURICH = ZoneInfo("Europe/Zurich")
TEAMS = {"search": BudgetTerms(25 * USD, ZURICH), "ads": BudgetTerms(USD, ZoneInfo("UTC"))}
SCOPES = {"operator": {"admin"}, "auditor": {"audit:read"}, "caller": {"chat"}}
OPERATOR, AUDITOR, CALLER = ([("x-api-key", who)] for who in SCOPES)


class Operations:
    """AdminService in front of one database, and its stub."""

    def __init__(self, database: Database, target: str, channel: grpc.aio.Channel) -> None:
        self.database = database
        self.target = target
        self.stub: AdminServiceAsyncStub = AdminServiceStub(channel)

    async def adjust(self, **fields: Any) -> Any:
        request = {"team": "search", "note": "invoice", "request_id": str(uuid.uuid4()), **fields}
        return (await self.stub.AdjustBudget(AdjustBudgetRequest(**request), metadata=OPERATOR)).budget

    async def freeze(self, *, frozen: bool, team: str = "search", note: str = "") -> Any:
        request = SetTeamFrozenRequest(team=team, frozen=frozen, note=note)
        return await self.stub.SetTeamFrozen(request, metadata=OPERATOR)

    async def records(self, metadata: Any = OPERATOR, **fields: Any) -> list[AuditRecord]:
        """Those of every page."""
        request = ListAuditRecordsRequest(**fields)
        listed: list[AuditRecord] = []
        while True:
            page = await self.stub.ListAuditRecords(request, metadata=metadata)
            listed.extend(page.records)
            if not page.next_page_token:
                return listed
            request.page_token = page.next_page_token


def principal_of(name: str) -> Principal:
    return Principal("search", name, frozenset(SCOPES[name]), "access_key", name)


def open_call(rpc: str, context: Context) -> Call:
    snapshot: Any = SimpleNamespace(budgets=TEAMS, policies=TEAMS)
    return Call(rpc, snapshot, 0.0, metadata=context.invocation_metadata() or ())


@pytest.fixture
async def operations(sqlite_database: Database) -> AsyncIterator[Operations]:
    committer = Committer(sqlite_database, DatabaseClock(await sqlite_database.now_us()), lambda _: None)
    chain = Chain((errors(), auth_by(principal_of)), frozenset({SERVICE.full_name}), open_call)
    server = grpc.aio.server(interceptors=(chain,))
    servicers = with_the_rest(SERVICE, AdminServicer(Books(sqlite_database, committer)))
    add_service(server, SERVICE, servicers, RpcOptions(5.0))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(target) as channel:
        yield Operations(sqlite_database, target, channel)
    await server.stop(None)
    await committer.close(5.0)


def amounts(budget: Any) -> tuple[int, ...]:
    return tuple(nanos_of(money) for money in (budget.limit, budget.spent, budget.held, budget.available))


async def test_an_adjustment_charges_the_budget_and_shows_it(operations: Operations) -> None:
    budget = await operations.adjust(amount=Money(units=5, nanos=1))

    assert amounts(budget) == (25 * USD, 5 * USD + 1, 0, 20 * USD - 1)
    assert (budget.team, budget.time_zone, budget.frozen) == ("search", "Europe/Zurich", False)
    local = [time.ToDatetime(datetime.UTC).astimezone(ZURICH) for time in (budget.period_start, budget.resets_at)]
    assert [(time.hour, time.minute, time.second) for time in local] == [(0, 0, 0)] * 2
    assert (local[1].date() - local[0].date()).days == 1


async def test_what_was_charged_can_be_given_back(operations: Operations) -> None:
    await operations.adjust(amount=Money(units=5))

    assert amounts(await operations.adjust(amount=Money(units=-4, nanos=-1))) == (
        25 * USD, USD - 1, 0, 24 * USD + 1,
    )  # fmt: skip


async def test_a_charge_above_the_limit_leaves_nothing_and_not_less(operations: Operations) -> None:
    assert amounts(await operations.adjust(amount=Money(units=30))) == (25 * USD, 30 * USD, 0, 0)


async def test_more_than_was_spent_is_not_given_back(operations: Operations) -> None:
    await operations.adjust(amount=Money(units=2))
    refusal = await refused(operations.adjust(amount=Money(units=-3)))

    assert (refusal.reason, refusal.code) == ("ADJUSTMENT_BELOW_ZERO", grpc.StatusCode.FAILED_PRECONDITION)
    assert refusal.info.metadata["spent_usd"] == "2.00"
    assert refusal.fields == {"amount"}


async def test_a_request_sent_again_changes_nothing(operations: Operations) -> None:
    first = await operations.adjust(amount=Money(units=5), request_id="one")

    assert await operations.adjust(amount=Money(units=5), request_id="one") == first


async def test_a_request_id_is_not_used_for_another_amount(operations: Operations) -> None:
    await operations.adjust(amount=Money(units=5), request_id="one")
    refusal = await refused(operations.adjust(amount=Money(units=6), request_id="one"))

    assert (refusal.reason, refusal.code) == ("REQUEST_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS)
    assert refusal.fields == {"request_id"}


async def test_a_day_that_is_over_is_adjusted_by_itself(operations: Operations) -> None:
    today = await operations.adjust(amount=Money(units=1))
    before = datetime.datetime.now(ZURICH).date() - datetime.timedelta(days=3)
    then = await operations.adjust(amount=Money(units=5), day=before.isoformat())

    assert then.period_start.ToDatetime(datetime.UTC).astimezone(ZURICH).date() == before
    assert amounts(then)[1] == 5 * USD
    assert (await operations.adjust(amount=Money(units=1))).spent.units == today.spent.units + 1


async def test_a_day_to_come_is_refused(operations: Operations) -> None:
    day = datetime.datetime.now(ZURICH).date() + datetime.timedelta(days=2)
    refusal = await refused(operations.adjust(amount=Money(units=1), day=day.isoformat()))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"day"})


async def test_a_frozen_team_says_since_when_and_keeps_that_time(operations: Operations) -> None:
    frozen = await operations.freeze(frozen=True)
    again = await operations.freeze(frozen=True)

    assert (frozen.team, frozen.frozen) == ("search", True)
    now_us = await operations.database.now_us()
    assert now_us - 60_000_000 < frozen.since_time.ToMicroseconds() <= now_us
    assert again == frozen
    assert (await operations.adjust(amount=Money(units=1))).frozen


async def test_a_team_that_is_let_go_is_frozen_since_no_time(operations: Operations) -> None:
    await operations.freeze(frozen=True)
    free = await operations.freeze(frozen=False)

    assert not free.frozen
    assert not free.HasField("since_time")


async def test_a_team_that_the_config_does_not_have_is_unknown(operations: Operations) -> None:
    for refusal in (
        await refused(operations.freeze(frozen=True, team="serach")),
        await refused(operations.adjust(amount=Money(units=1), team="serach")),
    ):
        assert (refusal.reason, refusal.code) == ("TEAM_UNKNOWN", grpc.StatusCode.NOT_FOUND)
        assert refusal.fields == {"team"}


async def test_all_violations_are_told_at_once_and_nothing_is_done(operations: Operations) -> None:
    refusal = await refused(operations.adjust(amount=Money(nanos=10**9), note="", day="soon"))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"amount.nanos", "note", "day"})
    assert not await operations.records(all_teams=True)


async def test_who_changed_what_and_why_is_on_record(operations: Operations) -> None:
    await operations.adjust(amount=Money(units=5), note="invoice of November")
    await operations.freeze(frozen=True, note="a loop")
    noted = [orjson.loads(record.body_json) for record in await operations.records()]
    changes = [(each["event"], each["principal"], each["note"]) for each in noted if "note" in each]

    assert changes == [("adjusted", "search/operator", "invoice of November"), ("frozen", "search/operator", "a loop")]


async def test_records_are_listed_as_they_were_written_page_by_page(operations: Operations) -> None:
    for number in range(5):
        await operations.adjust(amount=Money(nanos=number + 1), team="ads" if number == 2 else "search")
    all_of_them = await operations.records(all_teams=True)
    by_twos = await operations.records(all_teams=True, page_size=2)
    rows = await operations.database.read(
        lambda tx: tx.fetch("SELECT writer_id, seq, kind, call_id, team, at_us, body, hash FROM audit ORDER BY seq")
    )

    assert by_twos == all_of_them
    assert [
        (r.writer_id, r.seq, "notice", r.call_id, r.team, r.time.ToMicroseconds(), r.body_json, r.hash)
        for r in all_of_them
    ] == rows
    assert {record.kind for record in all_of_them} == {audit_pb2.AUDIT_RECORD_KIND_NOTICE}
    assert await operations.records(all_teams=True, newest_first=True) == all_of_them[::-1]
    assert {record.team for record in await operations.records(team="ads")} == {"ads"}


async def test_records_are_found_by_kind_and_time(operations: Operations) -> None:
    await operations.adjust(amount=Money(units=1))
    (record,) = await operations.records()
    next_us = AuditRecord()
    next_us.time.FromMicroseconds(record.time.ToMicroseconds() + 1)

    assert await operations.records(kind=audit_pb2.AUDIT_RECORD_KIND_OUTCOME) == []
    assert await operations.records(kind=audit_pb2.AUDIT_RECORD_KIND_NOTICE) == [record]
    assert await operations.records(start_time=record.time, end_time=next_us.time) == [record]
    assert await operations.records(start_time=next_us.time) == []
    assert await operations.records(end_time=record.time) == []


async def test_an_auditor_reads_the_records_of_its_own_team_alone(operations: Operations) -> None:
    await operations.adjust(amount=Money(units=1))

    assert await operations.records(AUDITOR) == await operations.records(AUDITOR, team="search")
    for fields in ({"team": "ads"}, {"all_teams": True}):
        refusal = await refused(operations.records(AUDITOR, **fields))

        assert (refusal.reason, refusal.code) == ("SCOPE_MISSING", grpc.StatusCode.PERMISSION_DENIED)
        assert refusal.info.metadata["scope"] == "admin"


async def test_callers_without_the_scopes_do_nothing_here(operations: Operations) -> None:
    for metadata in (CALLER, AUDITOR):
        request = AdjustBudgetRequest()
        assert (await refused(operations.stub.AdjustBudget(request, metadata=metadata))).reason == "SCOPE_MISSING"
    assert (await refused(operations.records(CALLER))).info.metadata["scope"] == "audit:read"


@pytest.mark.parametrize(
    "token", ["%", "abc", "e30", "WzEsInciXQ", "WyJ3Iiwid3ciLDFd", "WzEsIlx1MDAwMCIsMV0", "WzEsIncil" + "A" * 40]
)
async def test_a_page_token_of_another_make_is_refused(operations: Operations, token: str) -> None:
    refusal = await refused(operations.records(page_token=token))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"page_token"})


async def test_books_that_do_not_answer_are_told_as_such(operations: Operations) -> None:
    await operations.database.close()

    for refusal in (await refused(operations.records()), await refused(operations.freeze(frozen=True))):
        assert (refusal.reason, refusal.code) == ("BOOKS_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)
        assert refusal.retry_s == 1

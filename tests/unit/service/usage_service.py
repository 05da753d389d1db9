"""GetUsage on a real channel, in front of real books, for the tests of what it tells."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import grpc.aio

from cohort.v1 import gateway_service_pb2
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse
from service.books.batch import write_batch
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import Admission, Admitted, Entry, Settlement
from service.books.period import Period
from service.books.trail import fresh_pen
from service.books.usage import Units
from service.call import Call
from service.context import Context
from service.identity.principal import Principal
from service.interceptors.chain import Chain
from service.policy import Policy
from service.pricing import load
from service.rpc import RpcOptions, add_service
from service.servicers.gateway import GatewayServicer
from service.snapshot import BudgetTerms, Snapshot
from service.storage.database import Database, Transaction
from tests.unit.service.stand_ins import auth_by, errors, unlimited, with_the_rest
from tests.usage import entries
from tests.usage.entries import Names

if TYPE_CHECKING:
    from cohort.v1.gateway_service_pb2_grpc import GatewayServiceAsyncStub

USD = 10**9
SERVICE = gateway_service_pb2.DESCRIPTOR.services_by_name["GatewayService"]
UTC, TOKYO = ZoneInfo("UTC"), ZoneInfo("Asia/Tokyo")
BUDGETS = {"search": BudgetTerms(25 * USD, TOKYO), "ads": BudgetTerms(USD, UTC)}
POLICIES = {
    "search": Policy(
        "search", frozenset({"chat", "rerank"}), frozenset({"rerank-v3.5", "command-a-03-2025", "own"}), 4096
    ),
    "ads": Policy("ads", frozenset({"embed"}), frozenset({"embed-v4.0"}), 1, max_input_tokens_per_call=2**40),
}
SCOPES = {"reader": {"usage:read"}, "operator": {"admin"}, "caller": {"chat"}, "ads-reader": {"usage:read"}}
READER, OPERATOR, CALLER, ADS_READER = ([("x-api-key", who)] for who in SCOPES)


class UsageService:
    """The RPC, its books, and what writes them.

    Attributes:
        database: Where the books are.
        usage: The RPC's stub.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.usage: Any = None
        self._server = grpc.aio.server(interceptors=(_chain(),))
        self._pen = fresh_pen()

    async def start(self) -> None:
        committer = Committer(self.database, DatabaseClock(await self.database.now_us()), lambda _: None)
        absent: Any = None  # what sends to Cohere
        books = Books(self.database, committer)
        gateway = GatewayServicer(absent, absent, absent, absent, absent, unlimited(books), books)
        add_service(self._server, SERVICE, with_the_rest(SERVICE, gateway), RpcOptions(5.0))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stub: GatewayServiceAsyncStub = GatewayServiceStub(self._channel)
        self.usage = stub.GetUsage

    async def stop(self) -> None:
        await self._channel.close()
        await self._server.stop(None)

    async def get(self, metadata: Any = READER, **fields: Any) -> GetUsageResponse:
        response: GetUsageResponse = await self.usage(GetUsageRequest(**fields), metadata=metadata)
        return response

    async def pages(self, metadata: Any = READER, **fields: Any) -> list[GetUsageResponse]:
        """All pages."""
        request = GetUsageRequest(**fields)
        pages: list[GetUsageResponse] = []
        while not pages or pages[-1].next_page_token:
            request.page_token = pages[-1].next_page_token if pages else ""
            pages.append(await self.usage(request, metadata=metadata))
        return pages

    async def write(self, written: Sequence[Entry]) -> list[Any]:
        """Writes entries; what each of them gives."""

        async def work(tx: Transaction) -> Any:
            return await write_batch(tx, written, self._pen, {}, await self.database.now_us())

        done = await self.database.transact(work)
        self._pen = done.pen
        results = dict(done.results)
        return [results[entry] for entry in written]

    async def admit(self, team: str, names: Names, hold_nanos: int) -> tuple[Admission, Admitted]:
        """Begins an attempt."""
        held = entries.admission(team, names, hold_nanos, zone=BUDGETS[team].zone)
        (admitted,) = await self.write([held])
        return held, admitted

    async def pay(self, team: str, names: Names, nanos: int, reason: str = "", **units: int) -> None:
        """A call that costs something."""
        held, admitted = await self.admit(team, names, nanos)
        settled: Settlement = entries.settlement(held, admitted, nanos, reason=reason, units=Units(**units))
        await self.write([settled])


def window_of(usage: GetUsageResponse) -> Period:
    """The window that is told of."""
    return Period(usage.start_time.ToMicroseconds(), usage.end_time.ToMicroseconds())


def _chain() -> Chain:
    return Chain((errors(), auth_by(_principal_of)), frozenset({SERVICE.full_name}), _open_call)


def _principal_of(name: str) -> Principal:
    team = "ads" if name.startswith("ads") else "search"
    return Principal(team, name, frozenset(SCOPES[name]), "access_key", name)


def _open_call(rpc: str, context: Context) -> Call:
    return Call(rpc, snapshot_here(), 0.0, metadata=context.invocation_metadata() or ())


def snapshot_here() -> Snapshot:
    """Of a config with the teams of this module."""
    loaded: Any = None
    return Snapshot(loaded, POLICIES, {}, BUDGETS, {}, {}, load(), 0, {}, {})

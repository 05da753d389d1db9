"""AdminService's service accounts on a real channel in front of one database, and whom they let in."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc.aio
import orjson

from cohort.v1 import admin_service_pb2
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    CreateServiceAccountResponse,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
    ServiceAccount,
)
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.call import Call
from service.context import Context
from service.identity.authenticator import Authenticator
from service.identity.credential import Credential
from service.identity.identities import Identities
from service.identity.principal import Principal
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import TokenCache
from service.interceptors.chain import Chain
from service.rpc import RpcOptions, add_service
from service.servicers.service_accounts import ServiceAccountServicer
from service.storage.database import Database, Value
from tests.unit.identity.account_tokens import AUDIENCE, ORGANISATION, Account, pem_of
from tests.unit.service.stand_ins import auth_by, errors, with_the_rest

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
TEAMS = dict.fromkeys(("search", "ads", "platform"))
PEPPERS = {"1": b"p" * 32}
OPERATOR, CALLER = ([("x-api-key", who)] for who in ("admin", "chat"))


class Replica:
    """AdminService in front of a database, its stub, and whom it lets in."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stub: AdminServiceAsyncStub
        self.accounts: ServiceAccounts
        self.authenticator: Authenticator
        self.identities: Identities

    async def create(self, account: Account, team: str = "search", **fields: Any) -> CreateServiceAccountResponse:
        """Makes an account of a key pair, which takes its id."""
        request: dict[str, Any] = {"name": "indexer", "scopes": ["embed", "chat"], **fields}
        made = await self.stub.CreateServiceAccount(
            CreateServiceAccountRequest(team=team, public_key=pem_of(account.key), **request), metadata=OPERATOR
        )
        account.id = made.service_account.id
        return made

    async def revoke(self, account_id: str, note: str = "") -> ServiceAccount:
        request = RevokeServiceAccountRequest(id=account_id, note=note)
        return (await self.stub.RevokeServiceAccount(request, metadata=OPERATOR)).service_account

    async def listed(self, **fields: Any) -> list[ServiceAccount]:
        """Those of every page."""
        request = ListServiceAccountsRequest(**fields)
        found: list[ServiceAccount] = []
        while True:
            page = await self.stub.ListServiceAccounts(request, metadata=OPERATOR)
            found.extend(page.service_accounts)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def principal_of(self, token: str) -> Principal:
        return await self.authenticator.principal_of(Credential(token), None, time.time())

    async def fetch(self, sql: str, *values: Value) -> Sequence[Any]:
        return await self.database.transact(lambda tx: tx.fetch(sql, *values))

    async def notices(self) -> list[dict[str, Any]]:
        rows = await self.fetch("SELECT team, body FROM audit WHERE kind = 'notice' ORDER BY at_us, seq")
        notices = [{"of": team, **orjson.loads(body)} for team, body in rows]
        return [notice for notice in notices if notice["event"] != "writer_started"]

    async def version(self) -> int:
        ((version,),) = await self.fetch("SELECT version FROM identity_version")
        return int(version)


@contextlib.asynccontextmanager
async def account_replica(database: Database, peppers: dict[str, bytes] = PEPPERS) -> AsyncIterator[Replica]:
    """Serves while the context is open."""
    made = Replica(database)
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    books = Books(database, committer)
    cache = TokenCache()
    made.identities = Identities(books, cache.clear)
    made.identities.take_over("test", peppers)
    await made.identities.refresh()
    made.accounts = ServiceAccounts(lambda: made.identities.accounts)
    made.accounts.expected = Expected(AUDIENCE, ORGANISATION)
    made.authenticator = Authenticator(made.identities, made.accounts, SpiffeIds(), cache)
    snapshot: Any = SimpleNamespace(policies=TEAMS, peppers=peppers, pepper_version=max(peppers, key=int, default=""))

    def open_call(rpc: str, context: Context) -> Call:
        return Call(rpc, snapshot, 0.0, metadata=context.invocation_metadata() or ())

    auth = auth_by(lambda name: Principal("platform", name, frozenset({name}), "access_key", name))
    server = grpc.aio.server(interceptors=(Chain((errors(), auth), frozenset({SERVICE.full_name}), open_call),))
    servicer = ServiceAccountServicer(books, made.identities, made.accounts)
    add_service(server, SERVICE, with_the_rest(SERVICE, servicer), RpcOptions(5.0))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(target) as channel:
        made.stub = AdminServiceStub(channel)
        yield made
    await server.stop(None)
    await committer.close(5.0)

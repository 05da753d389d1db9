"""AdminService on a real channel in front of one database, as far as one of its servicers goes."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc.aio
import orjson

from cohort.v1 import admin_service_pb2
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.call import Call
from service.context import Context
from service.identity.principal import Principal
from service.interceptors.chain import Chain
from service.rpc import RpcOptions, add_service
from service.storage.database import Database, Value
from tests.unit.service.stand_ins import auth_by, errors, with_the_rest

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
TEAMS = dict.fromkeys(("search", "ads", "platform"))


class AdminReplica:
    """What is in the database that replicas share."""

    def __init__(self, database: Database) -> None:
        self.database = database

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
async def books_on(database: Database) -> AsyncIterator[Books]:
    """Books of a process of their own."""
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    yield Books(database, committer)
    await committer.close(5.0)


@contextlib.asynccontextmanager
async def serving(
    servicer: object, snapshot: Any, principal_of: Callable[[str], Principal]
) -> AsyncIterator["AdminServiceAsyncStub"]:
    """Serves while the context is open.

    Args:
        servicer: Answers what it can; the rest is not asked for.
        snapshot: Of every call.
        principal_of: Who presents an access key.
    """

    def open_call(rpc: str, context: Context) -> Call:
        return Call(rpc, snapshot, 0.0, metadata=context.invocation_metadata() or ())

    chain = Chain((errors(), auth_by(principal_of)), frozenset({SERVICE.full_name}), open_call)
    server = grpc.aio.server(interceptors=(chain,))
    add_service(server, SERVICE, with_the_rest(SERVICE, servicer), RpcOptions(5.0))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(target) as channel:
        yield AdminServiceStub(channel)
    await server.stop(None)

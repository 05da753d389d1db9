"""AdminService's access keys on a real channel in front of one database, and whom they let in."""

import contextlib
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cohort.v1.access_key_pb2 import (
    AccessKey,
    CreateAccessKeyRequest,
    CreateAccessKeyResponse,
    ListAccessKeysRequest,
    RevokeAccessKeyRequest,
    RevokeAccessKeyResponse,
    RotateAccessKeyRequest,
    RotateAccessKeyResponse,
)
from service.books.books import Books
from service.identity.identities import Identities
from service.identity.principal import Principal
from service.servicers.access_keys import AccessKeyServicer
from service.storage.database import Database
from tests.unit.service.admin_replica import TEAMS, AdminReplica, books_on, serving

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

PEPPERS = {"2": b"old" * 20, "10": b"new" * 20}
CALLERS = {
    "operator": Principal("platform", "ada", frozenset({"admin"}), "access_key", "o"),
    "rotator": Principal("search", "ci", frozenset({"keys:rotate", "chat"}), "access_key", "r"),
    "narrow": Principal("search", "ci", frozenset({"keys:rotate", "chat"}), "access_key", "n", frozenset({"m"}), 10),
    "caller": Principal("search", "app", frozenset({"chat"}), "access_key", "c"),
    "namesake": Principal("platform", "ada", frozenset({"admin"}), "access_key", "p"),
}
OPERATOR, ROTATOR, NARROW, CALLER, NAMESAKE = ([("x-api-key", who)] for who in CALLERS)
DAY_S = 86_400


class Replica(AdminReplica):
    """One process of the service, as far as access keys go."""

    def __init__(self, database: Database, books: Books) -> None:
        super().__init__(database)
        self.books = books
        self.stub: AdminServiceAsyncStub
        self.forged: list[str] = []
        self.identities = Identities(books, lambda: None, self.forged.extend)
        self.identities.take_over("test", PEPPERS)

    async def create(self, *, lives_s: float = DAY_S, **fields: Any) -> CreateAccessKeyResponse:
        return await self.ask(await self.asked(lives_s=lives_s, **fields))

    async def asked(self, *, lives_s: float = DAY_S, **fields: Any) -> CreateAccessKeyRequest:
        """A request for a key."""
        request = CreateAccessKeyRequest(**{"team": "search", "name": "indexer", "scopes": ["embed", "chat"], **fields})
        request.expire_time.FromMicroseconds(await self.database.now_us() + int(lives_s * 1e6))
        return request

    async def ask(self, request: CreateAccessKeyRequest, who: Any = OPERATOR) -> CreateAccessKeyResponse:
        return await self.stub.CreateAccessKey(request, metadata=who)

    async def rotate(self, key_id: str, who: Any = OPERATOR, **fields: Any) -> RotateAccessKeyResponse:
        return await self.stub.RotateAccessKey(RotateAccessKeyRequest(id=key_id, **fields), metadata=who)

    async def revoke(self, key_id: str, note: str = "") -> AccessKey:
        return (await self.end(key_id, note=note)).access_key

    async def end(self, key_id: str, **fields: Any) -> RevokeAccessKeyResponse:
        return await self.stub.RevokeAccessKey(RevokeAccessKeyRequest(id=key_id, **fields), metadata=OPERATOR)

    async def listed(self, **fields: Any) -> list[AccessKey]:
        """Those of every page."""
        request = ListAccessKeysRequest(**fields)
        found: list[AccessKey] = []
        while True:
            page = await self.stub.ListAccessKeys(request, metadata=OPERATOR)
            found.extend(page.access_keys)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def principal_of(self, access_key: str, now_s: float | None = None) -> Principal:
        return self.identities.access_keys.principal_of(access_key, time.time() if now_s is None else now_s)


@contextlib.asynccontextmanager
async def key_replica(
    database: Database, peppers: dict[str, bytes] = PEPPERS, pepper_version: str | None = None
) -> AsyncIterator[Replica]:
    """Serves while the context is open."""
    loaded = SimpleNamespace(config=SimpleNamespace(environment="test"))
    current = pepper_version or max(peppers, key=int, default="")
    snapshot = SimpleNamespace(policies=TEAMS, peppers=peppers, pepper_version=current, loaded=loaded)
    async with books_on(database) as books:
        replica = Replica(database, books)
        await replica.identities.refresh()
        servicer = AccessKeyServicer(books, replica.identities)
        async with serving(servicer, snapshot, CALLERS.__getitem__) as replica.stub:
            yield replica

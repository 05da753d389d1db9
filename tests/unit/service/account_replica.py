"""AdminService's service accounts on a real channel in front of one database, and whom they let in."""

import contextlib
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    CreateServiceAccountResponse,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
    ServiceAccount,
)
from service.identity.authenticator import Authenticator
from service.identity.credential import Credential
from service.identity.identities import Identities
from service.identity.principal import Principal
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import TokenCache
from service.servicers.service_accounts import ServiceAccountServicer
from service.storage.database import Database
from tests.unit.identity.account_tokens import AUDIENCE, ORGANISATION, Account, pem_of
from tests.unit.service.admin_replica import TEAMS, AdminReplica, books_on, serving

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

PEPPERS = {"1": b"p" * 32}
OPERATOR, CALLER = ([("x-api-key", who)] for who in ("admin", "chat"))


class Replica(AdminReplica):
    """AdminService in front of a database, its stub, and whom it lets in."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
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


@contextlib.asynccontextmanager
async def account_replica(database: Database, peppers: dict[str, bytes] = PEPPERS) -> AsyncIterator[Replica]:
    """Serves while the context is open."""
    snapshot = SimpleNamespace(policies=TEAMS, peppers=peppers, pepper_version=max(peppers, key=int, default=""))
    made = Replica(database)
    async with books_on(database) as books:
        cache = TokenCache()
        made.identities = Identities(books, cache.clear)
        made.identities.take_over("test", peppers)
        await made.identities.refresh()
        made.accounts = ServiceAccounts(lambda: made.identities.accounts)
        made.accounts.expected = Expected(AUDIENCE, ORGANISATION)
        made.authenticator = Authenticator(made.identities, made.accounts, SpiffeIds(), cache)
        servicer = ServiceAccountServicer(books, made.identities, made.accounts)
        async with serving(servicer, snapshot, _operator) as made.stub:
            yield made


def _operator(scope: str) -> Principal:
    return Principal("platform", scope, frozenset({scope}), "access_key", scope)

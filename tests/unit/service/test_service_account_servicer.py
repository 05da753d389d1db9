"""The RPCs of service accounts on a real channel, in front of both databases, and whom they let in."""

import datetime
import time
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc.aio
import orjson
import pytest

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
from service.identity.refusals import CredentialRefused
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.spiffe import SpiffeIds
from service.identity.token_cache import TokenCache
from service.interceptors.chain import Chain
from service.rpc import RpcOptions, add_service
from service.servicers.service_accounts import ServiceAccountServicer
from service.storage.database import Database, Value
from tests.e2e.requests import refused
from tests.unit.identity.account_tokens import AUDIENCE, ORGANISATION, Account, pem_of
from tests.unit.service.stand_ins import auth_by, errors, with_the_rest

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
TEAMS = dict.fromkeys(("search", "ads", "platform"))
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


def open_call(rpc: str, context: Context) -> Call:
    snapshot: Any = SimpleNamespace(policies=TEAMS)
    return Call(rpc, snapshot, 0.0, metadata=context.invocation_metadata() or ())


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    made = Replica(database)
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    books = Books(database, committer)
    cache = TokenCache()
    made.identities = Identities(books, cache.clear)
    await made.identities.refresh()
    made.accounts = ServiceAccounts(lambda: made.identities.accounts)
    made.accounts.expected = Expected(AUDIENCE, ORGANISATION)
    made.authenticator = Authenticator(made.identities, made.accounts, SpiffeIds(), cache)
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


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
async def test_a_new_account_lets_its_holder_in_at_once(replica: Replica, algorithm: str) -> None:
    account = Account(algorithm=algorithm)
    made = await replica.create(account, models=["m2", "m1"], max_tokens_per_call=7)

    principal = await replica.principal_of(account.token(scopes=["chat"]))

    assert principal == Principal(
        "search", "indexer", frozenset({"chat"}), "service_account", account.id, frozenset({"m1", "m2"}), 7
    )
    assert (made.audience, made.organisation) == (AUDIENCE, ORGANISATION)


async def test_an_account_is_shown_as_it_was_made(replica: Replica) -> None:
    account = Account(algorithm="ES256")
    made = (await replica.create(account, models=["m2", "m1"], max_tokens_per_call=7)).service_account
    now_us = await replica.database.now_us()

    assert made.id.startswith("sa_")
    assert len(made.id) == 19
    assert (made.team, made.name, list(made.scopes)) == ("search", "indexer", ["chat", "embed"])
    assert (list(made.models), made.max_tokens_per_call) == (["m1", "m2"], 7)
    assert (made.public_key, made.algorithm) == (pem_of(account.key), "ES256")
    assert made.created_by == "platform/admin"
    assert not made.HasField("revoke_time")
    assert made.last_used_day == ""
    assert now_us - 60_000_000 < made.create_time.ToMicroseconds() <= now_us
    assert await replica.listed() == [made]


async def test_what_was_not_asked_for_is_not_limited(replica: Replica) -> None:
    account = Account()
    made = (await replica.create(account)).service_account

    assert list(made.models) == []
    assert not made.HasField("max_tokens_per_call")
    assert (await replica.principal_of(account.token())).max_tokens_per_call is None


async def test_a_revoked_account_is_let_in_no_more(replica: Replica) -> None:
    account, other = Account(), Account()
    await replica.create(account)
    await replica.create(other, name="other")
    token = account.token()
    await replica.principal_of(token)  # from now on in the cache

    revoked = await replica.revoke(account.id)

    assert revoked.HasField("revoke_time")
    with pytest.raises(CredentialRefused, match="revoked"):
        await replica.principal_of(token)
    assert (await replica.principal_of(other.token())).name == "other"


async def test_a_revocation_keeps_its_time_and_is_told_once(replica: Replica) -> None:
    account = Account()
    await replica.create(account)
    first = await replica.revoke(account.id, "the laptop was lost")
    version = await replica.version()

    assert await replica.revoke(account.id, "again") == first
    assert await replica.version() == version
    assert [notice["event"] for notice in await replica.notices()] == [
        "service_account_created",
        "service_account_revoked",
    ]


async def test_each_change_leaves_its_notice_and_is_counted(replica: Replica) -> None:
    account = Account()
    before = await replica.version()
    await replica.create(account, max_tokens_per_call=7)
    await replica.revoke(account.id, "the laptop was lost")

    common = {
        "of": "search", "service_account_id": account.id, "team": "search", "name": "indexer",
        "scopes": ["chat", "embed"], "models": [], "max_tokens_per_call": 7, "algorithm": "EdDSA",
        "principal": "platform/admin",
    }  # fmt: skip
    assert await replica.notices() == [
        {"event": "service_account_created", "note": "", **common},
        {"event": "service_account_revoked", "note": "the laptop was lost", **common},
    ]
    assert await replica.version() == before + 2


async def test_an_unknown_id_is_not_revoked(replica: Replica) -> None:
    refusal = await refused(replica.revoke("sa_AAAAAAAAAAAAAAAA"))

    assert (refusal.reason, refusal.code) == ("CREDENTIAL_UNKNOWN", grpc.StatusCode.NOT_FOUND)
    assert refusal.fields == {"id"}
    assert await replica.notices() == []


async def test_a_team_that_the_config_has_not_gets_no_account(replica: Replica) -> None:
    refusal = await refused(replica.create(Account(), team="serach"))

    assert (refusal.reason, refusal.fields) == ("TEAM_UNKNOWN", {"team"})


async def test_without_an_organisation_no_account_is_made(replica: Replica) -> None:
    replica.accounts.expected = Expected(AUDIENCE, None)
    refusal = await refused(replica.create(Account()))

    assert (refusal.reason, refusal.code) == ("SERVICE_ACCOUNTS_OFF", grpc.StatusCode.FAILED_PRECONDITION)
    assert await replica.listed() == []


async def test_a_request_out_of_bounds_is_refused_with_its_fields(replica: Replica) -> None:
    refusal = await refused(replica.create(Account(), name="Indexer", scopes=[]))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"name", "scopes"})


async def test_only_operators_may_do_any_of_it(replica: Replica) -> None:
    stub = replica.stub
    calls = (
        stub.CreateServiceAccount(CreateServiceAccountRequest(), metadata=CALLER),
        stub.ListServiceAccounts(ListServiceAccountsRequest(), metadata=CALLER),
        stub.RevokeServiceAccount(RevokeServiceAccountRequest(), metadata=CALLER),
    )

    for call in calls:
        assert (await refused(call)).reason == "SCOPE_MISSING"


async def test_pages_are_by_team_and_name_and_leave_nothing_out(replica: Replica) -> None:
    for team, name in [("search", "b"), ("ads", "z"), ("search", "a"), ("search", "b")]:
        await replica.create(Account(), team=team, name=name)

    whole = await replica.listed()

    assert [(account.team, account.name) for account in whole] == [
        ("ads", "z"), ("search", "a"), ("search", "b"), ("search", "b"),
    ]  # fmt: skip
    assert len({account.id for account in whole}) == 4
    for page_size in (1, 2, 3, 4):
        assert await replica.listed(page_size=page_size) == whole
    assert [account.name for account in await replica.listed(team="search", page_size=2)] == ["a", "b", "b"]
    assert await replica.listed(team="nobody") == []


async def test_a_page_token_of_another_method_is_refused(replica: Replica) -> None:
    refusal = await refused(replica.listed(page_token="WzFd"))

    assert refusal.fields == {"page_token"}


async def test_the_day_of_the_last_use_is_shown(replica: Replica) -> None:
    account = Account()
    await replica.create(account)
    day = datetime.date(2026, 11, 21)
    await replica.fetch("UPDATE service_account SET last_used_day = $1", (day - datetime.date(1970, 1, 1)).days)

    assert [each.last_used_day for each in await replica.listed()] == ["2026-11-21"]

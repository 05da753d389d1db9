"""The RPCs of service accounts on a real channel, in front of both databases, and whom they let in."""

import datetime
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
)
from service.books.errors import BooksUnavailable
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.service_accounts import Expected
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.identity.account_tokens import AUDIENCE, ORGANISATION, Account, pem_of
from tests.unit.service.account_replica import CALLER, Replica, account_replica


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with account_replica(database) as made:
        yield made


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


@pytest.mark.parametrize("readable", [True, False])
async def test_a_revoked_account_is_let_in_no_more_though_the_database_cannot_be_read(
    replica: Replica,
    monkeypatch: pytest.MonkeyPatch,
    readable: bool,  # noqa: FBT001
) -> None:
    account, other = Account(), Account()
    await replica.create(account)
    await replica.create(other, name="other")
    token = account.token()
    await replica.principal_of(token)  # from now on in the cache

    async def unread(*_: object) -> None:
        raise BooksUnavailable("for a test")

    if not readable:
        monkeypatch.setattr(replica.identities, "refresh", unread)
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

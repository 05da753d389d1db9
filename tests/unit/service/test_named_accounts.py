"""Requests for service accounts that were sent again under their request_id; and those that cannot be sealed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.identity.account_tokens import Account
from tests.unit.service.account_replica import Replica, account_replica


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with account_replica(database) as made:
        yield made


async def test_an_account_that_is_asked_for_again_is_made_once(replica: Replica) -> None:
    account = Account()
    first = await replica.create(account, request_id="one")
    answers = await asyncio.gather(*(replica.create(account, request_id="one") for _ in range(4)))

    assert all(answer == first for answer in answers)
    assert len(await replica.listed()) == 1
    assert [each["event"] for each in await replica.notices()] == ["service_account_created"]
    assert (await replica.principal_of(account.token(scopes=["chat"]))).credential_id == account.id


@pytest.mark.parametrize(
    "change",
    [{"team": "ads"}, {"name": "other"}, {"scopes": ["chat"]}, {"models": ["m"]}, {"max_tokens_per_call": 1}, {}],
    ids=lambda change: next(iter(change), "public_key"),
)
async def test_a_name_stands_for_one_account(replica: Replica, change: dict[str, Any]) -> None:
    account = Account()
    await replica.create(account, request_id="one")
    refusal = await refused(replica.create(account if change else Account(), request_id="one", **change))

    assert (refusal.reason, refusal.fields) == ("REQUEST_ID_REUSED", {"request_id"})
    assert len(await replica.listed()) == 1


async def test_without_a_pepper_there_is_nothing_to_seal_an_account_with(database: Database) -> None:
    async with account_replica(database, {}) as replica:
        refusal = await refused(replica.create(Account()))
        listed = await replica.listed()

    assert (refusal.reason, refusal.code) == ("SERVICE_ACCOUNTS_OFF", grpc.StatusCode.FAILED_PRECONDITION)
    assert "pepper" in refusal.message
    assert listed == []

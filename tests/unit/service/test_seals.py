"""Rows that somebody else wrote into the database, or changed there, are not in force; on both databases."""

import hashlib
import time
from collections.abc import AsyncIterator

import pytest

from service.books.operations import Operator
from service.identity import service_account_registry
from service.identity.access_keys import mint
from service.identity.identities import Identities
from service.identity.refusals import CredentialRefused
from service.identity.seals import Seals
from service.identity.service_account_registry import NewServiceAccount
from service.storage.database import Database, Value
from tests.e2e.requests import refused
from tests.unit.identity.account_tokens import Account, pem_of
from tests.unit.service.key_replica import PEPPERS, Replica, key_replica

YEAR_US = 365 * 86_400_000_000
SEALS = Seals(PEPPERS, "10")


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with key_replica(database) as made:
        yield made


async def written(replica: Replica, sql: str, *values: Value) -> None:
    """Somebody writes into the database, and the service reads it again."""
    await replica.fetch(sql, *values)
    await replica.fetch("UPDATE identity_version SET version = version + 1")
    await replica.identities.refresh()


async def account_in(replica: Replica) -> str:
    new = NewServiceAccount("search", "indexer", frozenset({"chat"}), pem_of(Account().key), "EdDSA")
    stored = await replica.books.change(service_account_registry.create(new, "platform/ada", SEALS))
    await replica.identities.refresh()
    return str(stored.id)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("team", "platform"),
        ("name", "ada"),
        ("scopes", '["admin","chat","embed"]'),
        ("scopes", "not JSON"),
        ("scopes", "1"),
        ("models", "[]"),
        ("max_tokens_per_call", None),
        ("requests_per_minute", None),
        ("requests_per_day", 2**31 - 1),
        ("requests_per_day", None),
        ("line", "2Bq7ZkP0aXcV"),
        ("created_at_us", 1),
        ("created_by", "platform/eve"),
        ("expires_at_us", 2**62),
        ("grant_expires_at_us", 2**62),
        ("seal", b""),
    ],
)
async def test_a_key_whose_row_was_changed_lets_nobody_in_and_the_others_do(
    replica: Replica, column: str, value: Value
) -> None:
    made = await replica.create(models=["m"], max_tokens_per_call=5, requests_per_minute=6, requests_per_day=7)
    other = await replica.create()
    assert replica.principal_of(made.secret).team == "search"
    await written(replica, f"UPDATE access_key SET {column} = $1 WHERE id = $2", value, made.access_key.id)

    with pytest.raises(CredentialRefused, match=f"unknown access key {made.access_key.id}"):
        replica.principal_of(made.secret)
    assert replica.forged == [made.access_key.id]
    assert replica.principal_of(other.secret).team == "search"


async def test_a_row_that_somebody_wrote_lets_nobody_in(replica: Replica) -> None:
    minted = mint("test", PEPPERS, "10")
    await replica.create()
    await written(
        replica,
        "INSERT INTO access_key (id, digest, pepper_version, team, name, scopes, models, line, created_at_us, "
        "created_by, expires_at_us, grant_expires_at_us, seal) SELECT $1, $2, pepper_version, team, name, scopes, "
        "models, line, created_at_us, created_by, expires_at_us, grant_expires_at_us, seal FROM access_key",
        minted.id,
        hashlib.sha256(minted.access_key.encode()).digest(),
    )

    with pytest.raises(CredentialRefused, match=f"unknown access key {minted.id}"):
        replica.principal_of(minted.access_key)
    assert replica.forged == [minted.id]


async def test_a_key_with_the_digest_of_another_lets_neither_in_in_its_place(replica: Replica) -> None:
    one, two = await replica.create(), await replica.create(scopes=["chat", "admin"])
    await written(
        replica,
        "UPDATE access_key SET digest = (SELECT digest FROM access_key WHERE id = $1) WHERE id = $2",
        one.access_key.id,
        two.access_key.id,
    )

    with pytest.raises(CredentialRefused, match="unknown access key"):
        replica.principal_of(two.secret)
    assert replica.principal_of(one.secret).scopes == {"chat", "embed"}


async def test_a_revocation_cannot_be_taken_back(replica: Replica) -> None:
    made = await replica.create()
    account_id = await account_in(replica)
    await replica.revoke(made.access_key.id)
    await replica.books.change(service_account_registry.revoke(account_id, Operator("ada", "")))
    await replica.identities.refresh()
    with pytest.raises(CredentialRefused, match="revoked access key"):
        replica.principal_of(made.secret)
    assert replica.identities.accounts[account_id].revoked
    await replica.fetch("UPDATE service_account SET revoked_at_us = 0")
    await written(replica, "UPDATE access_key SET revoked_at_us = 0")
    forged: list[str] = []
    elsewhere = Identities(replica.books, lambda: None, forged.extend)  # who revoked knows it without the database
    elsewhere.take_over("test", PEPPERS)
    await elsewhere.refresh()

    with pytest.raises(CredentialRefused, match="unknown access key"):
        elsewhere.access_keys.principal_of(made.secret, time.time())
    assert account_id not in elsewhere.accounts
    assert forged == sorted([made.access_key.id, account_id])


async def test_what_grants_nothing_may_be_written_by_anybody(replica: Replica) -> None:
    made = await replica.create()
    await written(replica, "UPDATE access_key SET last_used_day = 1, replaced_by = 'X'")

    assert replica.principal_of(made.secret).team == "search"
    assert replica.forged == []


async def test_a_forged_row_is_told_once_and_again_when_there_are_more(replica: Replica) -> None:
    first, second = [(await replica.create()).access_key.id for _ in range(2)]
    await written(replica, "UPDATE access_key SET team = 'ads' WHERE id = $1", first)
    await replica.create()
    await written(replica, "UPDATE access_key SET name = 'x' WHERE id = $1", first)
    assert replica.forged == [first]
    await written(replica, "UPDATE access_key SET team = 'ads' WHERE id = $1", second)

    assert replica.forged == [first, *sorted([first, second])]


async def test_a_rotation_makes_no_true_key_of_a_forged_one(replica: Replica) -> None:
    key_id = (await replica.create(scopes=["chat"])).access_key.id
    await replica.fetch("UPDATE access_key SET scopes = '[\"admin\"]'")
    before = await replica.listed()
    refusal = await refused(replica.rotate(key_id))

    assert (refusal.reason, dict(refusal.info.metadata)) == ("CREDENTIAL_NOT_ACTIVE", {"id": key_id, "state": "FORGED"})
    assert await replica.listed() == before


async def test_a_rotated_key_is_sealed_with_its_new_end(replica: Replica) -> None:
    made = await replica.create(lives_s=7 * 86_400)
    await replica.rotate(made.access_key.id)
    assert replica.principal_of(made.secret).team == "search"
    await written(
        replica, "UPDATE access_key SET expires_at_us = expires_at_us + $1 WHERE id = $2", YEAR_US, made.access_key.id
    )

    with pytest.raises(CredentialRefused, match="unknown access key"):
        replica.principal_of(made.secret)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("team", "platform"),
        ("name", "ada"),
        ("scopes", '["admin"]'),
        ("models", '["m"]'),
        ("max_tokens_per_call", 1_000_000),
        ("public_key", pem_of(Account().key)),
        ("algorithm", "ES256"),
        ("created_by", "platform/eve"),
        ("created_at_us", 1),
        ("seal", b""),
    ],
)
async def test_an_account_whose_row_was_changed_is_not_known_any_more(
    replica: Replica, column: str, value: Value
) -> None:
    account_id, other = await account_in(replica), await account_in(replica)
    assert account_id in replica.identities.accounts
    await written(replica, f"UPDATE service_account SET {column} = $1 WHERE id = $2", value, account_id)

    assert {*replica.identities.accounts} == {other}
    assert replica.forged == [account_id]


async def test_a_seal_of_another_table_fits_no_account(replica: Replica) -> None:
    account_id = await account_in(replica)
    await replica.create()
    await written(replica, "UPDATE service_account SET seal = (SELECT seal FROM access_key), pepper_version = '10'")

    assert replica.forged == [account_id]


async def test_accounts_go_and_come_with_their_pepper_and_are_not_called_forged(replica: Replica) -> None:
    account_id = await account_in(replica)
    replica.identities.take_over("test", {"2": PEPPERS["2"]})
    assert account_id not in replica.identities.accounts
    replica.identities.take_over("test", {})
    assert account_id not in replica.identities.accounts
    replica.identities.take_over("test", PEPPERS)

    assert account_id in replica.identities.accounts
    assert replica.forged == []


async def test_another_pepper_of_the_same_version_seals_nothing(replica: Replica) -> None:
    account_id = await account_in(replica)
    replica.identities.take_over("test", {"10": b"another" * 10})

    assert replica.forged == [account_id]
    assert replica.identities.accounts == {}

"""The RPCs of access keys, in front of both databases: what they do, whom they let in, and what they refuse."""

import datetime
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from cohort.v1 import access_key_pb2
from cohort.v1.access_key_pb2 import CreateAccessKeyRequest
from service.identity import last_used
from service.identity.access_keys import mint
from service.identity.identities import Identities
from service.identity.last_used import LastUsed
from service.identity.refusals import CredentialRefused
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.service.key_replica import (
    CALLER,
    DAY_S,
    OPERATOR,
    PEPPERS,
    ROTATOR,
    Replica,
    key_replica,
)

ACTIVE, REPLACED, EXPIRED, REVOKED = (
    access_key_pb2.ACCESS_KEY_STATE_ACTIVE,
    access_key_pb2.ACCESS_KEY_STATE_REPLACED,
    access_key_pb2.ACCESS_KEY_STATE_EXPIRED,
    access_key_pb2.ACCESS_KEY_STATE_REVOKED,
)


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with key_replica(database) as made:
        yield made


async def test_a_new_key_lets_its_holder_in_at_once(replica: Replica) -> None:
    made = await replica.create(models=["m2", "m1"], max_tokens_per_call=7)
    key, who = made.access_key, replica.principal_of(made.secret)

    assert (who.team, who.name, set(who.scopes), who.credential_id) == ("search", "indexer", {"chat", "embed"}, key.id)
    assert (set(who.models), who.max_tokens_per_call) == ({"m1", "m2"}, 7)
    assert made.secret.startswith(f"cohort_test_{key.id}_")
    assert ([*key.scopes], [*key.models], key.state) == (["chat", "embed"], ["m1", "m2"], ACTIVE)
    assert (key.created_by, key.last_used_day, key.replaced_by) == ("platform/ada", "", "")
    assert key.expire_time.seconds - key.create_time.seconds in {DAY_S - 1, DAY_S}


async def test_a_key_is_kept_under_the_newest_pepper_and_nowhere_itself(replica: Replica) -> None:
    made = await replica.create()
    ((version,),) = await replica.fetch("SELECT pepper_version FROM access_key")
    rows = [await replica.fetch(f"SELECT * FROM {table}") for table in ("access_key", "audit")]

    assert version == "10"
    assert made.secret.rpartition("_")[2] not in repr(rows)


def test_a_minted_key_does_not_show_itself() -> None:
    minted = mint("test", PEPPERS, "10")

    assert minted.access_key.rpartition("_")[2] not in f"{minted!r} {minted}"


@pytest.mark.parametrize("lives_s", [-1, 366 * DAY_S, 365 * DAY_S + 600])
async def test_a_key_lives_for_a_year_at_most_and_not_backwards(replica: Replica, lives_s: float) -> None:
    refusal = await refused(replica.create(lives_s=lives_s))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"expire_time"})


async def test_who_asks_for_a_year_by_a_clock_that_is_ahead_gets_a_year(replica: Replica) -> None:
    key = (await replica.create(lives_s=365 * DAY_S + 60)).access_key

    assert key.expire_time.ToMicroseconds() - key.create_time.ToMicroseconds() <= 365 * DAY_S * 1_000_000


async def test_a_team_that_the_config_does_not_have_gets_no_key(replica: Replica) -> None:
    refusal = await refused(replica.create(team="serach"))

    assert (refusal.reason, refusal.fields) == ("TEAM_UNKNOWN", {"team"})
    assert await replica.listed() == []


async def test_every_violation_is_told_at_once(replica: Replica) -> None:
    request = CreateAccessKeyRequest(name="A Laptop", scopes=["chat", "fly", "chat"], max_tokens_per_call=0)
    refusal = await refused(replica.stub.CreateAccessKey(request, metadata=OPERATOR))

    assert refusal.fields == {"team", "name", "scopes[1]", "scopes[2]", "max_tokens_per_call", "expire_time"}


async def test_without_a_pepper_there_are_no_keys(database: Database) -> None:
    async with key_replica(database, {}) as replica:
        refusal = await refused(replica.create())

    assert (refusal.reason, refusal.code) == ("ACCESS_KEYS_OFF", grpc.StatusCode.FAILED_PRECONDITION)


async def test_a_new_pepper_can_be_held_back_until_every_replica_has_it(database: Database) -> None:
    async with key_replica(database, pepper_version="2") as early, key_replica(database) as late:
        before, after = await early.create(), await late.create()
        behind = Identities(early.books, lambda: None)
        behind.take_over("test", {"2": PEPPERS["2"]})
        await behind.refresh()

    assert behind.access_keys.principal_of(before.secret, time.time()).credential_id == before.access_key.id
    with pytest.raises(CredentialRefused, match="unknown access key"):
        behind.access_keys.principal_of(after.secret, time.time())


async def test_keys_are_listed_by_team_and_name_and_time_page_by_page(replica: Replica) -> None:
    names = [("search", "b"), ("ads", "z"), ("search", "a"), ("search", "a"), ("platform", "m")]
    made = [(await replica.create(team=team, name=name)).access_key for team, name in names]
    expected = [made[1], made[4], made[2], made[3], made[0]]

    assert await replica.listed() == expected
    assert await replica.listed(page_size=2) == expected
    assert await replica.listed(team="search", page_size=1) == [made[2], made[3], made[0]]
    assert await replica.listed(team="nobody") == []


async def test_keys_are_listed_by_how_they_stand(replica: Replica, clock: Any) -> None:
    short, long, other, gone = [(await replica.create(lives_s=s)).access_key.id for s in (60, 9999, 9999, 9999)]
    new = (await replica.rotate(other)).access_key.id
    await replica.revoke(gone)
    await clock.shift(61_000_000)
    by_state = {state: {key.id for key in await replica.listed(state=state)} for state in (1, 2, 3, 4)}

    assert by_state == {ACTIVE: {long, new}, REPLACED: {other}, EXPIRED: {short}, REVOKED: {gone}}
    assert {(key.id, key.state) for key in await replica.listed()} == {
        (key_id, state) for state, ids in by_state.items() for key_id in ids
    }


async def test_a_revoked_key_lets_nobody_in_and_keeps_its_time(replica: Replica) -> None:
    made = await replica.create()
    first = await replica.revoke(made.access_key.id, "in a log")
    again = await replica.revoke(made.access_key.id, "once more")

    assert (first.state, first) == (REVOKED, again)
    with pytest.raises(CredentialRefused, match="revoked access key"):
        replica.principal_of(made.secret)


async def test_what_has_not_the_id_of_a_key_is_unknown(replica: Replica) -> None:
    for refusal in (await refused(replica.revoke("nobody")), await refused(replica.rotate("nobody"))):
        assert (refusal.reason, refusal.code, refusal.fields) == (
            "CREDENTIAL_UNKNOWN", grpc.StatusCode.NOT_FOUND, {"id"},
        )  # fmt: skip


async def test_callers_without_the_scopes_do_nothing_here(replica: Replica) -> None:
    key_id = (await replica.create()).access_key.id

    assert (await refused(replica.rotate(key_id, CALLER))).info.metadata["scope"] == "keys:rotate"
    request = CreateAccessKeyRequest()
    assert (await refused(replica.stub.CreateAccessKey(request, metadata=ROTATOR))).info.metadata["scope"] == "admin"


async def test_every_change_is_noticed_once_and_told_to_every_replica(replica: Replica) -> None:
    before = await replica.version()
    made = (await replica.create()).access_key
    new = (await replica.rotate(made.id)).access_key
    await replica.revoke(new.id, "in a log")
    await replica.revoke(new.id)
    told = [(each["event"], each["of"], each["access_key_id"], each["principal"], each["note"])
            for each in await replica.notices()]  # fmt: skip

    assert told == [
        ("access_key_created", "search", made.id, "platform/ada", ""),
        ("access_key_rotated", "search", made.id, "platform/ada", ""),
        ("access_key_revoked", "search", new.id, "platform/ada", "in a log"),
    ]
    assert await replica.version() == before + 3


async def test_the_day_of_the_last_use_is_written_once_a_day_and_tells_no_replica(replica: Replica) -> None:
    key = (await replica.create()).access_key
    before, uses = await replica.version(), LastUsed(replica.books)
    await uses.write()
    assert (await replica.listed())[0].last_used_day == ""
    uses.note(key.id)
    uses.note("sa_AAAAAAAAAAAAAAAA")
    await uses.write()
    today = datetime.datetime.now(datetime.UTC).date()

    assert (await replica.listed())[0].last_used_day in {
        day.isoformat() for day in (today, today - datetime.timedelta(days=1))
    }
    assert await replica.version() == before
    assert [each["event"] for each in await replica.notices()] == ["access_key_created"]


async def test_a_use_that_cannot_be_written_is_written_later(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    key, uses = (await replica.create()).access_key, LastUsed(replica.books)
    uses.note(key.id)
    with monkeypatch.context() as broken:
        broken.setattr(last_used, "_ACCESS_KEY", "UPDATE nothing SET id = $1")
        await uses.write()
    assert (await replica.listed())[0].last_used_day == ""
    await uses.write()

    assert (await replica.listed())[0].last_used_day

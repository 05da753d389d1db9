"""RotateAccessKey, in front of both databases: what becomes of both keys, and who may be shown the new one."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from cohort.v1 import access_key_pb2
from service.books.errors import BooksUnavailable
from service.identity.principal import OwnLimits
from service.identity.refusals import CredentialRefused
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.service.key_replica import (
    DAY_S,
    NARROW,
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


async def test_a_rotated_key_goes_on_beside_the_new_one(replica: Replica) -> None:
    made = await replica.create(
        lives_s=7 * DAY_S, models=["m"], max_tokens_per_call=9, requests_per_minute=4, requests_per_day=5
    )
    rotated = await replica.rotate(made.access_key.id)
    new, old = rotated.access_key, rotated.replaced

    assert (old.id, old.state, old.replaced_by) == (made.access_key.id, REPLACED, new.id)
    assert (new.state, new.created_by) == (ACTIVE, "platform/ada")
    for field in ("team", "name", "scopes", "models", "max_tokens_per_call", "requests_per_minute", "requests_per_day"):
        assert getattr(new, field) == getattr(made.access_key, field)
    assert new.expire_time.seconds - new.create_time.seconds in {7 * DAY_S - 1, 7 * DAY_S}
    assert abs(old.expire_time.seconds - new.create_time.seconds - DAY_S) <= 1
    assert replica.principal_of(rotated.secret).credential_id == new.id
    assert replica.principal_of(made.secret).credential_id == old.id
    assert replica.principal_of(made.secret).limits == OwnLimits(f"access_key:{old.id}", 4, 5)
    assert replica.principal_of(rotated.secret).limits == OwnLimits(f"access_key:{old.id}", 4, 5)
    with pytest.raises(CredentialRefused, match="expired access key"):
        replica.principal_of(made.secret, old.expire_time.seconds + 1)


async def test_an_overlap_ends_with_the_old_key_and_can_be_none(replica: Replica) -> None:
    short, other = await replica.create(lives_s=60), await replica.create()
    kept = (await replica.rotate(short.access_key.id, overlap_seconds=3600)).replaced
    cut = (await replica.rotate(other.access_key.id, overlap_seconds=0)).replaced

    assert kept.expire_time == short.access_key.expire_time
    assert cut.state == EXPIRED
    with pytest.raises(CredentialRefused, match="expired access key"):
        replica.principal_of(other.secret)


async def test_the_new_key_ends_when_it_is_asked_to(replica: Replica) -> None:
    key = (await replica.create()).access_key
    far = await refused(replica.rotate(key.id, expire_time={"seconds": int(time.time()) + 366 * DAY_S}))
    asked_s = int(time.time()) + 3 * DAY_S

    assert (far.reason, far.fields) == ("REQUEST_INVALID", {"expire_time"})
    rotated = await replica.rotate(key.id, expire_time={"seconds": asked_s})
    assert rotated.access_key.expire_time.seconds == asked_s


@pytest.mark.parametrize("state", ["REPLACED", "EXPIRED", "REVOKED"])
async def test_a_key_that_is_not_active_is_not_rotated(replica: Replica, clock: Any, state: str) -> None:
    key_id = (await replica.create(lives_s=60)).access_key.id
    match state:
        case "REPLACED":
            await replica.rotate(key_id)
        case "REVOKED":
            await replica.revoke(key_id)
        case _:
            await clock.shift(61_000_000)
    keys = await replica.listed()
    refusal = await refused(replica.rotate(key_id))

    assert (refusal.reason, refusal.fields) == ("CREDENTIAL_NOT_ACTIVE", {"id"})
    assert dict(refusal.info.metadata) == {"id": key_id, "state": state}
    assert await replica.listed() == keys


async def test_of_rotations_at_once_one_is_made(replica: Replica) -> None:
    key_id = (await replica.create()).access_key.id
    ends = await asyncio.gather(*(replica.rotate(key_id) for _ in range(8)), return_exceptions=True)

    (won,) = [end for end in ends if not isinstance(end, BaseException)]
    assert len(await replica.listed()) == 2
    assert {key.replaced_by for key in await replica.listed()} == {"", won.access_key.id}


async def test_of_rotations_at_once_on_two_replicas_one_is_made(postgres_database: Database, open_replica: Any) -> None:
    async with key_replica(postgres_database) as one, key_replica(await open_replica()) as two:
        for _ in range(5):
            key_id = (await one.create()).access_key.id
            ends = await asyncio.gather(*(each.rotate(key_id) for each in (one, two)), return_exceptions=True)

            (lost,) = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
            assert lost.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert len(await one.listed()) == 10


async def test_a_rotator_rotates_keys_of_its_own_team_that_may_do_no_more_than_itself(replica: Replica) -> None:
    own = (await replica.create(scopes=["chat"])).access_key
    rotated = await replica.rotate(own.id, ROTATOR)

    assert (rotated.access_key.team, rotated.access_key.created_by) == ("search", "search/ci")


@pytest.mark.parametrize(("scopes", "missing"), [(["admin"], "admin"), (["chat", "embed"], "embed")])
async def test_a_rotator_gets_no_key_that_may_do_more(replica: Replica, scopes: list[str], missing: str) -> None:
    key = (await replica.create(scopes=scopes)).access_key
    refusal = await refused(replica.rotate(key.id, ROTATOR))

    assert (refusal.reason, refusal.info.metadata["scope"]) == ("SCOPE_MISSING", missing)
    assert [each.id for each in await replica.listed()] == [key.id]


@pytest.mark.parametrize(
    ("fields", "is_wider"),
    [
        ({}, True),
        ({"models": ["m"]}, True),
        ({"max_tokens_per_call": 10}, True),
        ({"models": ["m", "n"], "max_tokens_per_call": 10}, True),
        ({"models": ["m"], "max_tokens_per_call": 11}, True),
        ({"models": ["m"], "max_tokens_per_call": 10}, False),
    ],
)
async def test_a_narrow_rotator_gets_no_wider_key(
    replica: Replica,
    fields: dict[str, Any],
    is_wider: bool,  # noqa: FBT001
) -> None:
    key_id = (await replica.create(scopes=["chat"], **fields)).access_key.id
    if is_wider:
        assert (await refused(replica.rotate(key_id, NARROW))).reason == "SCOPE_MISSING"
    else:
        assert (await replica.rotate(key_id, NARROW)).secret


async def test_another_teams_key_is_to_a_rotator_like_one_that_is_not_there(replica: Replica) -> None:
    others = (await replica.create(team="ads", scopes=["admin"])).access_key.id
    theirs = await refused(replica.rotate(others, ROTATOR))
    nobodys = await refused(replica.rotate("X" * len(others), ROTATOR))

    assert theirs.message == nobodys.message
    assert (theirs.code, theirs.reason, theirs.fields) == (nobodys.code, nobodys.reason, nobodys.fields)
    assert dict(theirs.info.metadata) == {"id": others}
    assert len(await replica.listed()) == 1


async def test_a_new_key_is_shown_though_the_database_cannot_be_read_any_more(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await replica.create()

    async def unread(*_: object) -> None:
        raise BooksUnavailable("for a test")

    with monkeypatch.context() as patched:
        patched.setattr(replica.identities, "refresh", unread)
        rotated = await replica.rotate(made.access_key.id, overlap_seconds=0)
    await replica.identities.refresh()

    assert replica.principal_of(rotated.secret).credential_id == rotated.access_key.id


async def test_without_an_operator_no_line_of_keys_outlives_what_one_has_granted(replica: Replica, clock: Any) -> None:
    key = (await replica.create(scopes=["chat"], lives_s=10 * DAY_S)).access_key
    granted = key.grant_expire_time
    assert granted == key.expire_time
    for _ in range(4):
        await clock.shift(2 * DAY_S * 1_000_000)
        key = (await replica.rotate(key.id, ROTATOR)).access_key
        assert (key.expire_time, key.grant_expire_time) == (granted, granted)
    await clock.shift(2 * DAY_S * 1_000_000)

    refusal = await refused(replica.rotate(key.id, ROTATOR))
    assert (refusal.reason, refusal.info.metadata["state"]) == ("CREDENTIAL_NOT_ACTIVE", "EXPIRED")


async def test_a_shorter_key_of_a_line_does_not_shorten_what_was_granted(replica: Replica) -> None:
    key = (await replica.create(scopes=["chat"], lives_s=10 * DAY_S)).access_key
    now_s = await replica.database.now_us() // 1_000_000
    short = (await replica.rotate(key.id, ROTATOR, expire_time={"seconds": now_s + 3600})).access_key
    assert (short.expire_time.seconds, short.grant_expire_time) == (now_s + 3600, key.expire_time)
    long = (await replica.rotate(short.id, ROTATOR, expire_time=key.expire_time)).access_key

    assert long.expire_time == key.expire_time


async def test_a_rotator_asks_for_no_later_end_than_was_granted_and_an_operator_may(replica: Replica) -> None:
    key = (await replica.create(scopes=["chat"])).access_key
    later = {"seconds": key.grant_expire_time.seconds + 60}
    refusal = await refused(replica.rotate(key.id, ROTATOR, expire_time=later))

    assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"expire_time"})
    assert len(await replica.listed()) == 1
    renewed = (await replica.rotate(key.id, expire_time=later)).access_key
    assert renewed.expire_time == renewed.grant_expire_time
    assert renewed.expire_time.seconds == later["seconds"]


async def line_of(replica: Replica, rotations: int) -> list[str]:
    """A key and those that took its place, by their ids."""
    line = [(await replica.create()).access_key.id]
    for _ in range(rotations):
        line.append((await replica.rotate(line[-1])).access_key.id)
    return line


async def test_a_revoked_key_tells_what_took_its_place_and_still_gives_access(replica: Replica) -> None:
    line = await line_of(replica, 2)
    ended = await replica.end(line[0])

    assert ended.access_key.id == line[0]
    assert [(key.id, key.state) for key in ended.successors] == [(line[1], REPLACED), (line[2], ACTIVE)]


async def test_a_key_is_revoked_with_all_that_took_its_place_and_one_notice_each(replica: Replica) -> None:
    line, other = await line_of(replica, 3), await line_of(replica, 1)
    await replica.revoke(line[2])
    before = await replica.version()
    ended = await replica.end(line[1], with_successors=True, note="was in a log")

    assert [key.id for key in ended.successors] == line[2:]
    states = {key.id: key.state for key in await replica.listed()}
    assert [states[key_id] for key_id in line] == [REPLACED, REVOKED, REVOKED, REVOKED]
    assert REVOKED not in {states[key_id] for key_id in other}
    revoked = [each for each in await replica.notices() if each["event"] == "access_key_revoked"]
    assert [each["access_key_id"] for each in revoked] == [line[2], line[1], line[3]]
    assert {each["note"] for each in revoked[1:]} == {"was in a log"}
    assert await replica.version() == before + 1
    assert await replica.end(line[1], with_successors=True) == ended
    assert await replica.version() == before + 1


async def test_a_line_that_somebody_bent_into_a_circle_ends(replica: Replica) -> None:
    line = await line_of(replica, 1)
    await replica.fetch("UPDATE access_key SET replaced_by = $1 WHERE id = $2", *line)
    ended = await replica.end(line[0], with_successors=True)

    assert [key.id for key in ended.successors] == line[1:]


async def test_a_line_that_leads_nowhere_is_revoked_as_far_as_it_goes(replica: Replica) -> None:
    line = await line_of(replica, 1)
    await replica.fetch("DELETE FROM access_key WHERE id = $1", line[1])
    ended = await replica.end(line[0], with_successors=True)

    assert (ended.access_key.state, [*ended.successors]) == (REVOKED, [])


async def test_no_rotation_at_the_same_time_escapes_a_revocation_with_successors(
    postgres_database: Database, open_replica: Any
) -> None:
    async with key_replica(postgres_database) as one, key_replica(await open_replica()) as two:
        for _ in range(10):
            line = await line_of(one, 1)
            rotation, ended = await asyncio.gather(
                two.rotate(line[1]), one.end(line[0], with_successors=True), return_exceptions=True
            )
            if isinstance(rotation, grpc.aio.AioRpcError):
                assert rotation.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert not isinstance(ended, BaseException)
        assert {key.state for key in await one.listed()} == {REVOKED}

"""What a holder of `keys:rotate` gets, who is no operator: keys of its own team that may do no more than its own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cohort.v1 import access_key_pb2
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.service.key_replica import (
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

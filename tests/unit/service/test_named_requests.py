"""Requests for access keys that were sent again under their request_id: one key, and the same answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cohort.v1 import access_key_pb2
from service.identity.access_keys import mint
from service.identity.principal import Principal
from service.identity.request_names import RequestName
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.service.key_replica import DAY_S, NAMESAKE, OPERATOR, PEPPERS, ROTATOR, Replica, key_replica

NAME = "6f1b2c9e-0d3a-4a57-9c1e-3f0b7a5d2e10"


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with key_replica(database) as made:
        yield made


async def test_a_key_that_is_asked_for_again_is_made_once_and_shown_again(replica: Replica) -> None:
    request, before = await replica.asked(request_id=NAME), await replica.version()
    first = await replica.ask(request)
    again = await replica.ask(request)

    assert again == first
    assert replica.principal_of(first.secret).credential_id == first.access_key.id
    assert [key.id for key in await replica.listed()] == [first.access_key.id]
    assert [each["event"] for each in await replica.notices()] == ["access_key_created"]
    assert await replica.version() == before + 1


async def test_without_a_name_each_request_makes_a_key(replica: Replica) -> None:
    request = await replica.asked()
    first, again = await replica.ask(request), await replica.ask(request)

    assert first.secret != again.secret
    assert len(await replica.listed()) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"team": "ads"},
        {"name": "other"},
        {"scopes": ["chat"]},
        {"models": ["m"]},
        {"max_tokens_per_call": 1},
        {"requests_per_minute": 1},
        {"requests_per_day": 1},
        {"lives_s": 3600},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_name_stands_for_one_content(replica: Replica, change: dict[str, Any]) -> None:
    request = await replica.asked(request_id=NAME)
    other = await replica.asked(request_id=NAME, **change)
    if "lives_s" not in change:
        other.expire_time.CopyFrom(request.expire_time)
    first = await replica.ask(request)
    refusal = await refused(replica.ask(other))

    assert (refusal.reason, refusal.fields) == ("REQUEST_ID_REUSED", {"request_id"})
    assert [key.id for key in await replica.listed()] == [first.access_key.id]


async def test_lists_are_the_same_content_in_any_order(replica: Replica) -> None:
    request = await replica.asked(request_id=NAME, models=["a", "b"])
    first = await replica.ask(request)
    request.scopes[:], request.models[:] = [*reversed(request.scopes)], ["b", "a"]

    assert await replica.ask(request) == first


async def test_nobody_else_is_shown_a_key_by_its_name(replica: Replica) -> None:
    """Not even an operator of the same team and name, by another credential."""
    request = await replica.asked(request_id=NAME)
    first, other = await replica.ask(request), await replica.ask(request, NAMESAKE)

    assert (first.secret, first.access_key.id) != (other.secret, other.access_key.id)
    assert first.access_key.id != other.access_key.id
    assert len(await replica.listed()) == 2


async def test_of_the_same_request_many_times_at_once_one_key_is_made(replica: Replica) -> None:
    request = await replica.asked(request_id=NAME)
    answers = await asyncio.gather(*(replica.ask(request) for _ in range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert len(await replica.listed()) == 1


async def test_of_the_same_request_on_two_replicas_at_once_one_key_is_made(
    postgres_database: Database, open_replica: Any
) -> None:
    async with key_replica(postgres_database) as one, key_replica(await open_replica()) as two:
        for number in range(5):
            request = await one.asked(request_id=f"{NAME}-{number}")
            answers = await asyncio.gather(*(each.ask(request) for each in (one, two) * 2))
            assert all(answer == answers[0] for answer in answers)
            rotations = await asyncio.gather(
                *(each.rotate(answers[0].access_key.id, request_id=f"r-{number}") for each in (one, two) * 2)
            )
            assert all(rotated == rotations[0] for rotated in rotations)

        assert len(await one.listed()) == 10
        assert len(await one.notices()) == 10


async def test_after_a_day_a_key_is_not_shown_again(replica: Replica, clock: Any) -> None:
    request = await replica.asked(request_id=NAME, lives_s=10 * DAY_S)
    first = await replica.ask(request)
    await clock.shift((DAY_S - 60) * 1_000_000)
    assert (await replica.ask(request)).secret == first.secret
    await clock.shift(120_000_000)

    assert (await refused(replica.ask(request))).reason == "REQUEST_ID_REUSED"
    assert len(await replica.listed()) == 1


async def test_under_another_pepper_a_key_cannot_be_shown_again_and_none_is_made(
    replica: Replica, database: Database
) -> None:
    request = await replica.asked(request_id=NAME)
    await replica.ask(request)
    async with key_replica(database, {**PEPPERS, "11": b"newer" * 10}) as renewed:
        assert (await refused(renewed.ask(request))).reason == "REQUEST_ID_REUSED"

    assert len(await replica.listed()) == 1


async def test_a_repeat_tells_how_the_key_stands_now(replica: Replica) -> None:
    request = await replica.asked(request_id=NAME)
    first = await replica.ask(request)
    await replica.revoke(first.access_key.id)
    again = await replica.ask(request)

    assert (again.secret, again.access_key.state) == (first.secret, access_key_pb2.ACCESS_KEY_STATE_REVOKED)
    assert len(await replica.listed()) == 1


async def test_a_rotation_that_is_asked_for_again_is_made_once_and_shown_again(replica: Replica) -> None:
    key_id = (await replica.create()).access_key.id
    first = await replica.rotate(key_id, request_id=NAME)
    again = await replica.rotate(key_id, request_id=NAME)

    assert again == first
    assert replica.principal_of(first.secret).credential_id == first.access_key.id
    assert len(await replica.listed()) == 2
    assert [each["event"] for each in await replica.notices()] == ["access_key_created", "access_key_rotated"]


async def test_a_rotator_may_ask_again_as_an_operator_may(replica: Replica) -> None:
    key_id = (await replica.create(scopes=["chat"])).access_key.id
    first = await replica.rotate(key_id, ROTATOR, request_id=NAME)

    assert await replica.rotate(key_id, ROTATOR, request_id=NAME) == first
    assert (await refused(replica.rotate(key_id, OPERATOR, request_id=NAME))).reason == "CREDENTIAL_NOT_ACTIVE"


@pytest.mark.parametrize("changed", ["overlap", "end"])
async def test_a_rotations_name_stands_for_one_content(replica: Replica, changed: str) -> None:
    key_id = (await replica.create(lives_s=DAY_S)).access_key.id
    await replica.rotate(key_id, request_id=NAME)
    end_s = await replica.database.now_us() // 1_000_000 + 3600
    change: dict[str, Any] = {"overlap_seconds": 5} if changed == "overlap" else {"expire_time": {"seconds": end_s}}
    refusal = await refused(replica.rotate(key_id, request_id=NAME, **change))

    assert (refusal.reason, refusal.fields) == ("REQUEST_ID_REUSED", {"request_id"})
    assert len(await replica.listed()) == 2


async def test_a_name_that_stands_for_another_key_rotates_nothing(replica: Replica) -> None:
    one, two = [(await replica.create()).access_key.id for _ in range(2)]
    await replica.create(request_id=NAME)
    await replica.rotate(one, request_id="second")
    before = await replica.listed()
    for taken in (NAME, "second"):
        assert (await refused(replica.rotate(two, request_id=taken))).reason == "REQUEST_ID_REUSED"

    assert await replica.listed() == before


async def test_a_name_can_be_used_by_a_request_for_a_key_or_a_rotation_only(replica: Replica) -> None:
    key_id = (await replica.create()).access_key.id
    await replica.rotate(key_id, request_id=NAME)
    request = await replica.asked(request_id=NAME)

    assert (await refused(replica.ask(request))).reason == "REQUEST_ID_REUSED"


async def test_a_name_is_short(replica: Replica) -> None:
    for refusal in (
        await refused(replica.create(request_id="x" * 101)),
        await refused(replica.rotate("x", request_id="x\n")),
    ):
        assert (refusal.reason, refusal.fields) == ("REQUEST_INVALID", {"request_id"})


def test_a_key_follows_from_the_pepper_the_caller_and_the_whole_request() -> None:
    def secret(
        pepper: bytes = b"p" * 32, caller: str = "c", name: str = NAME, content: str = "x", environment: str = "test"
    ) -> str:
        principal = Principal("search", "ci", frozenset(), "access_key", caller)
        named = RequestName(principal, name, (content,))
        return mint(environment, {"1": pepper}, "1", named).access_key.rpartition("_")[2][:43]

    secrets = [
        secret(),
        secret(b"q" * 32),
        secret(caller="d"),
        secret(name="n"),
        secret(content="y"),
        secret(environment="prod"),
    ]

    assert secret() == secrets[0]
    assert len(set(secrets)) == len(secrets)


async def test_the_database_does_not_say_what_a_request_was_called(replica: Replica) -> None:
    await replica.create(request_id=NAME)
    dump = [await replica.fetch(f"SELECT * FROM {table}") for table in ("access_key", "audit")]

    assert NAME not in repr(dump)

"""What becomes of a rotation on one replica, on both engines, when somebody asks for it."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from yarl import URL

from clients.sandbox import Sandbox
from clients.sandbox.keys import KeyState
from service.books.entries import Work
from service.books.errors import RequestIdReused, RotationUnderWay, TeamUnknown
from service.rotation import carrying
from service.rotation.history import Cause, State
from service.storage.database import Database
from tests.databases import Clock
from tests.rotation.scene import (
    CALL_US_MAX,
    DAY_US,
    NEW,
    OLD,
    STRANGER,
    THIRD,
    UNKNOWN,
    Member,
    MemorySource,
    accept,
    history_in,
    member,
    until,
    until_open,
    wished,
)


async def test_a_first_value_is_used_without_a_rotation(one: Member) -> None:
    assert (one.in_use, one.sends()) == ((1, None), OLD)
    assert one.history.rotations == ()
    assert [each["event"] for each in await one.notices()] == ["cohere_key_adopted"]


async def test_whose_the_first_value_is_is_learnt_beside_the_calls(one: Member) -> None:
    await one.tend()

    assert one.history.versions[0].organization_id == "our-organization"


async def test_a_value_that_cannot_be_a_key_is_not_used_at_a_start(
    database: Database, sandbox: tuple[Sandbox, URL]
) -> None:
    async with member(database, sandbox[1], MemorySource('"quoted"')) as made:
        assert made.in_use == (None, None)
        assert "the value" in made.ring.problem


async def test_a_new_value_is_in_use_when_the_answer_comes(one: Member, source: MemorySource) -> None:
    source.value = NEW
    told = await one.rotate()

    assert told.rotation is not None
    assert (told.rotation.state, told.rotation.version, told.rotation.previous_version) == (State.CURRENT, 2, 1)
    assert (one.in_use, one.sends()) == ((2, 1), NEW)
    assert [each["event"] for each in await one.notices()] == [
        "cohere_key_adopted", "cohere_key_staged", "cohere_key_organization_known", "cohere_key_verified",
        "cohere_key_current",
    ]  # fmt: skip


async def test_the_value_that_is_in_use_changes_nothing(one: Member, database: Database) -> None:
    before = await history_in(database)
    told = await one.rotate()

    assert told.unchanged
    assert await history_in(database) == before


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (STRANGER, Cause.OTHER_ORGANIZATION),
        (UNKNOWN, Cause.KEY_REJECTED),
        ("sk-somebody-elses-secret", Cause.KEY_MISTYPED),
        (None, Cause.KEY_NOT_SET),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_cause_and_calls_go_on(
    one: Member, source: MemorySource, value: str | None, cause: Cause
) -> None:
    source.value = value
    told = await one.rotate()

    assert told.rotation is not None
    assert (told.rotation.state, told.rotation.cause) == (State.FAILED, cause)
    assert (one.in_use, one.sends()) == ((1, None), OLD)


async def test_a_source_that_is_away_is_told(one: Member, source: MemorySource) -> None:
    source.away = True
    told = await one.rotate()

    assert told.rotation is not None
    assert (told.rotation.cause, told.rotation.version) == (Cause.SOURCE_UNAVAILABLE, None)
    assert one.ring.problem == "vault:cohere/search#key: no route to it"


async def test_a_request_that_is_sent_again_is_told_how_its_rotation_stands(one: Member, source: MemorySource) -> None:
    source.value = NEW
    first = await one.rotate(request_id="r1", request_digest=b"one")
    source.value = THIRD
    again = await one.rotate(request_id="r1", request_digest=b"one")

    assert again.rotation == first.rotation
    assert one.sends() == NEW
    with pytest.raises(RequestIdReused):
        await one.rotate(request_id="r1", request_digest=b"other")


async def test_a_request_whose_source_was_away_is_not_done_when_it_is_back(one: Member, source: MemorySource) -> None:
    source.value, source.away = NEW, True
    first = await one.rotate(request_id="r1", request_digest=b"one")
    source.away = False
    again = await one.rotate(request_id="r1", request_digest=b"one")

    assert again.rotation == first.rotation
    assert one.sends() == OLD


@pytest.mark.parametrize(("value", "cause"), [(NEW, None), (STRANGER, Cause.OTHER_ORGANIZATION), (OLD, None)])
async def test_a_trial_run_says_what_would_come_of_it_and_changes_nothing(
    one: Member, source: MemorySource, database: Database, value: str, cause: Cause | None
) -> None:
    await one.tend()
    before, notices = await history_in(database), await one.notices()
    source.value = value
    told = await one.rotations.validate(wished())

    assert told.checked is not None
    assert (told.checked.cause, told.unchanged) == (cause, value == OLD)
    assert await history_in(database) == before
    assert await one.notices() == notices
    assert one.in_use == (1, None)


async def test_a_team_that_the_config_does_not_name_is_unknown(one: Member) -> None:
    with pytest.raises(TeamUnknown):
        await one.rotate(team="nobody")


async def test_two_do_not_rotate_one_key_at_once(one: Member, source: MemorySource) -> None:
    source.value = NEW
    one.checker.free.clear()
    first = asyncio.create_task(one.rotate())
    await until_open(one)
    source.value = THIRD
    with pytest.raises(RotationUnderWay):
        await one.rotate()
    one.checker.free.set()
    await first

    assert one.sends() == NEW


async def test_who_leaves_does_not_end_a_rotation(one: Member, source: MemorySource) -> None:
    source.value = NEW
    one.checker.free.clear()
    asking = asyncio.create_task(one.rotate())
    await until_open(one)
    asking.cancel()
    await asyncio.wait({asking})
    one.checker.free.set()
    await until(lambda: one.in_use == (2, 1))


async def test_who_leaves_while_it_is_written_down_does_not_leave_it_to_nobody(
    one: Member, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.value = NEW
    change, left = one.books.change, asyncio.Event()

    async def answered_late(work: Work) -> Any:
        answer = await change(work)
        asking.cancel()
        await left.wait()
        return answer

    monkeypatch.setattr(one.books, "change", answered_late)
    asking = asyncio.create_task(one.rotate())
    await asyncio.wait({asking})
    monkeypatch.setattr(one.books, "change", change)
    left.set()

    assert asking.cancelled()
    await until(lambda: one.in_use == (2, 1))


async def test_an_overlap_ends_by_the_database_whatever_the_machine_takes_the_time_for(
    one: Member, source: MemorySource, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    wrong = SimpleNamespace(monotonic=time.monotonic, time_ns=lambda: time.time_ns() + DAY_US * 1000)
    monkeypatch.setattr("clients.key_ring.time", wrong)
    source.value = NEW
    await one.rotate(overlap_us=3_600_000_000)
    assert one.in_use == (2, 1)

    await clock.shift(3_600_000_000)
    await one.replica.refresh()
    assert one.ring.previous is None


async def test_the_overlap_ends_and_what_nobody_uses_is_destroyed(
    one: Member, source: MemorySource, clock: Clock
) -> None:
    source.value = NEW
    await one.rotate()
    await clock.shift(DAY_US)
    await one.tend()
    assert (one.history.rotations[0].state, one.in_use) == (State.RETIRED, (2, None))

    await clock.shift(CALL_US_MAX)
    await one.tend()

    assert one.history.rotations[0].state is State.DESTROYED
    assert [each.state for each in one.history.versions] == [State.DESTROYED, State.CURRENT]
    assert OLD not in repr(vars(one.keys))


async def test_without_an_overlap_nothing_is_fallen_back_on(one: Member, source: MemorySource) -> None:
    source.value = NEW
    await one.rotate(overlap_us=0)

    assert one.in_use == (2, None)
    await one.rotations.survived(one.keys, 2, 1)
    assert one.in_use == (2, None)


async def test_a_cohere_that_does_not_answer_is_asked_again_and_then_given_up(
    one: Member, source: MemorySource, sandbox: tuple[Sandbox, URL], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(carrying, "AGAIN_AFTER_S", 0.01)
    await one.tend()
    one.keys.rewire(one.keys.way._replace(base_url=URL("http://127.0.0.1:1")))
    source.value = NEW
    asking = asyncio.create_task(one.rotate())
    await until(lambda: one.checker.asked > 3)
    await clock.shift(carrying.GIVEN_UP_AFTER_US)
    await one.replica.refresh()
    told = await asking
    assert told.rotation is not None
    assert (told.rotation.state, told.rotation.cause) == (State.FAILED, Cause.COHERE_UNAVAILABLE)

    one.keys.rewire(one.keys.way._replace(base_url=sandbox[1]))
    await one.look()

    assert (one.in_use, one.sends()) == ((3, 1), NEW)


async def test_whose_the_version_in_use_is_need_not_be_known_before(
    database: Database, sandbox: tuple[Sandbox, URL], source: MemorySource
) -> None:
    accept(sandbox[0], NEW)
    async with member(database, sandbox[1], source) as made:
        source.value = NEW
        told = await made.rotate()

        assert told.rotation is not None
        assert told.rotation.state is State.CURRENT


async def test_an_unpaid_key_is_told_as_far_as_the_check_tells(
    one: Member, source: MemorySource, sandbox: tuple[Sandbox, URL]
) -> None:
    accept(sandbox[0], OLD, THIRD, **{THIRD: KeyState.EXPIRED})
    source.value = THIRD
    told = await one.rotate()

    assert told.rotation is not None
    assert told.rotation.cause is Cause.KEY_REJECTED


async def test_no_value_is_in_what_is_said_of_a_rotation(one: Member, source: MemorySource) -> None:
    source.value = NEW
    told = await one.rotate(request_id="r", request_digest=b"d")
    said = [repr(told), repr(one.keys), repr(one.replica), repr(wished(NEW)), repr(one.ring), *map(repr, one.told)]

    assert not [each for each in said if NEW in each or OLD in each]
    assert not [each for each in await one.notices() if NEW in str(each) or OLD in str(each)]

"""What a replica does by itself when a source changes, on both engines."""

import asyncio

import pytest
from yarl import URL

from clients.breaker import Refusal
from clients.sandbox import Sandbox
from service.books.entries import Work
from service.books.errors import BooksUnavailable
from service.rotation import follower
from service.rotation.history import OPEN, Cause, State
from tests.rotation.scene import (
    DAY_US,
    NEW,
    OLD,
    STRANGER,
    THIRD,
    UNKNOWN,
    Member,
    MemorySource,
    accept,
    until,
    until_open,
)


async def test_a_changed_source_is_rotated_to_by_itself(one: Member, source: MemorySource) -> None:
    source.value = NEW
    await one.look()

    assert (one.in_use, one.sends()) == ((2, 1), NEW)
    assert one.history.rotations[0].started_by == "cohort"
    assert one.told == []


async def test_calls_that_were_refused_go_on_with_what_the_source_has_by_then(
    one: Member, source: MemorySource, sandbox: tuple[Sandbox, URL]
) -> None:
    accept(sandbox[0], NEW)
    source.value = NEW
    one.ring.renew = lambda: one.rotations.renew(one.keys)
    await asyncio.gather(*(one.ring.renewed() for _ in range(20)))

    assert one.sends() == NEW
    assert source.reads <= 3


async def test_what_failed_is_told_once_and_not_taken_again_by_itself(one: Member, source: MemorySource) -> None:
    source.value = STRANGER
    for _ in range(3):
        await one.look()

    assert len(one.history.rotations) == len(one.told) == 1
    assert (one.in_use, one.sends()) == ((1, None), OLD)
    assert "version 2, which failed: " in one.ring.problem


async def test_what_failed_is_taken_once_it_is_good_by_a_team_that_has_no_other_key(
    one: Member, source: MemorySource, sandbox: tuple[Sandbox, URL]
) -> None:
    source.value = UNKNOWN
    await one.look()
    assert one.ring.in_use is not None
    accept(sandbox[0])
    one.ring.checked(one.ring.in_use, Refusal.REJECTED, one.ring.now_s())
    await one.look()
    assert (one.in_use, len(one.history.rotations)) == ((1, None), 1)
    accept(sandbox[0], UNKNOWN)
    await one.look()

    assert (one.in_use, one.sends()) == ((3, 1), UNKNOWN)
    assert len(one.told) == 1


async def test_a_key_of_another_organization_is_not_taken_for_want_of_another(
    one: Member, source: MemorySource, sandbox: tuple[Sandbox, URL]
) -> None:
    await one.tend()  # learns whose the version in use is
    accept(sandbox[0], STRANGER)
    source.value = STRANGER
    assert one.ring.in_use is not None
    one.ring.checked(one.ring.in_use, Refusal.REJECTED, one.ring.now_s())
    for _ in range(3):
        await one.look()

    assert (one.in_use, one.sends()) == ((1, None), OLD)
    assert len(one.history.rotations) == 1


async def test_what_was_rolled_back_is_taken_again_only_if_somebody_asks(one: Member, source: MemorySource) -> None:
    source.value = NEW
    await one.look()
    await one.rotations.survived(one.keys, 2, 1)
    await one.look()
    assert (one.in_use, one.sends()) == ((1, None), OLD)
    assert one.told == ["rolled back: Cohere refused version 2 in a call that version 1 survived"]

    await one.rotate()

    assert (one.in_use, one.sends()) == ((3, 1), NEW)


async def test_a_late_word_of_a_refusal_changes_nothing(one: Member, source: MemorySource) -> None:
    source.value = NEW
    await one.look()
    source.value = THIRD
    await one.look()
    await one.rotations.survived(one.keys, 2, 1)

    assert one.in_use == (3, 2)


async def test_a_source_that_is_set_back_is_followed(one: Member, source: MemorySource) -> None:
    source.value = NEW
    await one.look()
    source.value = OLD
    await one.look()

    assert (one.in_use, one.sends()) == ((3, 2), OLD)


async def test_a_source_that_is_set_back_after_a_mistake_is_followed(one: Member, source: MemorySource) -> None:
    source.value = NEW
    await one.look()
    for mistake in (STRANGER, UNKNOWN, OLD[:20]):  # the last is half of what is being written
        source.value = mistake
        await one.look()
    assert (one.in_use, one.sends()) == ((2, 1), NEW)
    source.value = OLD
    await one.look()

    assert (one.in_use, one.sends()) == ((6, 2), OLD)


async def test_a_source_that_was_late_before_a_mistake_is_not_followed(one: Member, source: MemorySource) -> None:
    await one.rotate(NEW)  # as another replica, which has read it in the source
    for late in (OLD, STRANGER, OLD):
        source.value = late
        await one.look()

    assert (one.in_use, one.sends()) == ((2, 1), NEW)


async def test_a_change_that_the_database_kept_from_being_followed_is_followed_soon(
    one: Member, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LOOK_AGAIN_MIN_S", 0.0)

    async def refused(_: Work) -> None:
        raise BooksUnavailable("the database does not answer")

    source.value = NEW
    with monkeypatch.context() as away:
        away.setattr(one.books, "change", refused)
        await one.tend()
        assert one.sends() == OLD
    await one.tend()

    assert one.sends() == NEW


async def test_a_change_during_a_rotation_that_somebody_asked_for_is_followed_soon_after_it(
    one: Member, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LOOK_AGAIN_MIN_S", 0.0)
    source.value = NEW
    one.checker.free.clear()
    asking = asyncio.create_task(one.rotate())
    await until_open(one)
    source.value = THIRD
    looking = asyncio.create_task(one.follower.tend_all())
    await until(lambda: source.reads == 3)
    one.checker.free.set()
    await asyncio.gather(asking, looking)
    assert one.sends() == NEW
    await one.tend()

    assert one.sends() == THIRD


async def test_calls_that_were_refused_wait_for_what_somebody_rotates_to(one: Member, source: MemorySource) -> None:
    source.value = NEW
    one.checker.free.clear()
    asking = asyncio.create_task(one.rotate())
    await until_open(one)
    renewing = asyncio.create_task(one.rotations.renew(one.keys))
    over, _ = await asyncio.wait({renewing}, timeout=0.3)
    assert not over
    one.checker.free.set()
    await renewing

    assert one.sends() == NEW
    await asking


async def test_whoever_asks_meanwhile_waits_for_what_began_by_itself(one: Member, source: MemorySource) -> None:
    source.value = NEW
    one.checker.free.clear()
    looking = asyncio.create_task(one.look())
    await until_open(one)
    asking = asyncio.create_task(one.rotate(request_id="r1", request_digest=b"one"))
    await until(lambda: one.history.rotations[0].request_id == "r1")
    under_way = await one.rotate(request_id="r1", request_digest=b"one")
    one.checker.free.set()
    told = await asking
    await looking
    await one.rotations.survived(one.keys, 2, 1)
    again = await one.rotate(request_id="r1", request_digest=b"one")

    assert under_way.rotation is not None
    assert told.rotation is not None
    assert (told.rotation.state, told.rotation.started_by) == (State.CURRENT, "cohort")
    assert under_way.rotation.state in OPEN
    assert again.rotation is not None
    assert (again.rotation.id, again.rotation.state) == (told.rotation.id, State.ROLLED_BACK)


async def test_what_somebody_asks_for_goes_before_what_began_by_itself(one: Member, source: MemorySource) -> None:
    source.value = NEW
    one.checker.free.clear()
    looking = asyncio.create_task(one.look())
    await until_open(one)
    source.value = THIRD
    asking = asyncio.create_task(one.rotate())
    await until(lambda: len(one.history.rotations) == 2)
    one.checker.free.set()
    await asyncio.gather(asking, looking)

    assert [each.cause for each in one.history.rotations] == [Cause.SUPERSEDED, None]
    assert one.told == []
    assert one.sends() == THIRD


@pytest.mark.parametrize("wish", [{"overlap_us": 0}, {"probe": True}])
async def test_who_asks_for_more_than_what_began_by_itself_gets_a_rotation_of_their_own(
    one: Member, source: MemorySource, wish: dict[str, object]
) -> None:
    source.value = NEW
    one.checker.free.clear()
    looking = asyncio.create_task(one.look())
    await until_open(one)
    asking = asyncio.create_task(one.rotate(None, **wish))
    await until(lambda: len(one.history.rotations) == 2)
    one.checker.free.set()
    told, _ = await asyncio.gather(asking, looking)

    assert told.rotation is not None
    assert one.history.rotations[0].cause is Cause.SUPERSEDED
    assert (told.rotation.started_by, told.rotation.overlap_us, told.rotation.probe) == (
        "platform/ada", wish.get("overlap_us", DAY_US), wish.get("probe", False),
    )  # fmt: skip

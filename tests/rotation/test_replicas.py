"""Several replicas on one database: what one rotates, all use; what one leaves, another ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from clients.sandbox import Sandbox
from service.books.entries import Work
from service.rotation import machine, rows
from service.rotation.history import Cause, History, State
from service.rotation.machine import LEASE_US, Change
from service.rotation.steps import Step
from service.rotation.team_keys import TeamKeys
from service.storage.database import Database, Transaction
from tests.databases import Clock, Opener
from tests.rotation.scene import (
    NEW,
    OLD,
    STRANGER,
    TEAM,
    THIRD,
    Member,
    MemorySource,
    cohere,
    history_in,
    member,
    until_open,
)

FOLLOWED_WITHIN_S = 2.0


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, URL]]:
    async with cohere() as made:
        yield made


@contextlib.asynccontextmanager
async def fleet(
    database: Database, open_replica: Opener, url: URL, *sources: MemorySource
) -> AsyncIterator[list[Member]]:
    """A replica for each source."""
    async with contextlib.AsyncExitStack() as stack:
        databases = [database, *[await open_replica() for _ in sources[1:]]]
        yield [
            await stack.enter_async_context(member(each, url, source))
            for each, source in zip(databases, sources, strict=True)
        ]


@contextlib.asynccontextmanager
async def following(members: list[Member]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.follower.follow()) for each in members]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_all(members: list[Member], in_use: tuple[int | None, int | None], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not all(each.in_use == in_use for each in members):
            await asyncio.sleep(0.01)


async def test_what_one_replica_rotates_all_use_within_two_seconds(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    shared = MemorySource()
    async with (
        fleet(postgres_database, open_replica, sandbox[1], shared, shared, shared) as members,
        following(members),
    ):
        shared.value = NEW
        await members[1].rotate()
        await until_all(members, (2, 1), FOLLOWED_WITHIN_S)
        await members[2].rotations.survived(members[2].keys, 2, 1)
        await until_all(members, (1, None), FOLLOWED_WITHIN_S)

        assert [each.sends() for each in members] == [OLD] * 3


async def test_replicas_that_see_a_changed_source_at_once_make_one_rotation(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    shared = MemorySource()
    async with fleet(postgres_database, open_replica, sandbox[1], shared, shared, shared) as members:
        shared.value = NEW
        await asyncio.gather(*(each.look() for each in members))

        assert [each.in_use for each in members] == [(2, 1)] * 3
        assert len((await history_in(postgres_database)).rotations) == 1


@pytest.mark.parametrize("reached", [State.STAGED, State.VERIFIED])
async def test_what_a_dead_replica_began_another_ends(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL], clock: Clock, reached: State
) -> None:
    shared = MemorySource()
    async with fleet(postgres_database, open_replica, sandbox[1], shared, shared, shared) as members:
        dying, *others = members
        await dying.tend()
        shared.value = NEW
        await died_at(dying, reached, postgres_database)
        for each in others:
            await each.tend()
        left = (await history_in(postgres_database)).rotations[0]
        assert (left.state, left.lease_holder) == (reached, dying.replica.name)
        await clock.shift(LEASE_US)
        await asyncio.gather(*(each.tend() for each in others))
        for each in others:
            await each.tend()

        (rotation,) = (await history_in(postgres_database)).rotations
        assert rotation.state is State.CURRENT
        assert rotation.lease_holder in {each.replica.name for each in others}
        assert [each.sends() for each in others] == [NEW] * 2
        events = [each["event"] for each in await others[0].notices()]
        assert events.count("cohere_key_verified") == events.count("cohere_key_current") == 1


async def died_at(dying: Member, reached: State, database: Database) -> None:
    """Lets a replica rotate, and end where the rotation has come so far."""
    step, stands = dying.replica.step, asyncio.Event()

    async def last(keys: TeamKeys, act: Step) -> bool:
        under_way = keys.history.open
        if under_way is not None and under_way.state is reached:
            stands.set()
            await asyncio.Event().wait()
        return await step(keys, act)

    dying.replica.step = last  # type: ignore[method-assign]
    asking = asyncio.create_task(dying.rotate())
    await stands.wait()
    await dying.rotations.close()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await history_in(database)).open is not None


async def test_who_ends_it_finds_that_the_source_has_another_value_by_then(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL], clock: Clock
) -> None:
    first, second = MemorySource(), MemorySource()
    async with fleet(postgres_database, open_replica, sandbox[1], first, second) as (dying, other):
        first.value = NEW
        dying.checker.free.clear()
        asking = asyncio.create_task(dying.rotate())
        while (await history_in(postgres_database)).open is None:
            await asyncio.sleep(0.01)
        asking.cancel()
        await dying.rotations.close()
        second.value = THIRD
        await clock.shift(LEASE_US)
        await other.tend()

        (rotation, *_) = (await history_in(postgres_database)).rotations
        assert (rotation.state, rotation.cause) == (State.FAILED, Cause.SUPERSEDED)


async def test_a_replica_whose_source_is_late_goes_on_with_what_it_has(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    early, late = MemorySource(NEW), MemorySource()
    async with (
        member(postgres_database, sandbox[1], late) as second,
        member(await open_replica(), sandbox[1], early) as first,
    ):
        assert first.in_use == (2, None)
        for _ in range(3):
            await second.tend()
        assert (second.in_use, second.sends()) == ((1, None), OLD)
        late.value = NEW
        await second.look()

        assert (second.in_use, second.sends()) == ((2, 1), NEW)
        assert len((await history_in(postgres_database)).rotations) == 1


async def test_a_replica_that_starts_late_finds_the_previous_version_in_the_source(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    source = MemorySource()
    async with member(postgres_database, sandbox[1], source) as first:
        source.value, source.previous = NEW, OLD
        await first.rotate()
        async with member(await open_replica(), sandbox[1], source) as second:
            assert second.in_use == (2, 1)


async def test_a_replica_that_starts_with_what_another_rotates_to_waits_for_that(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    source = MemorySource()
    async with (
        member(postgres_database, sandbox[1], source) as first,
        member(await open_replica(), sandbox[1], source, started=False) as second,
    ):
        source.value = NEW
        first.checker.free.clear()
        asking = asyncio.create_task(first.rotate())
        await until_open(first)
        starting = asyncio.create_task(second.follower.start())
        over, _ = await asyncio.wait({starting}, timeout=0.3)
        assert not over
        first.checker.free.set()
        await asyncio.gather(asking, starting)

        assert second.sends() == NEW


async def test_a_replica_that_starts_with_a_value_that_failed_does_not_use_it(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    source = MemorySource()
    async with member(postgres_database, sandbox[1], source) as first:
        source.value = STRANGER
        await first.rotate()
        async with member(await open_replica(), sandbox[1], source) as second:
            assert (second.in_use, second.sends()) == ((None, None), None)
            assert "another organization" in second.ring.problem


async def test_a_replica_that_starts_with_a_value_that_was_rolled_back_has_nothing_better(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    source = MemorySource()
    async with member(postgres_database, sandbox[1], source) as first:
        source.value = NEW
        await first.rotate()
        await first.rotations.survived(first.keys, 2, 1)
        async with member(await open_replica(), sandbox[1], source) as second:
            assert (second.in_use, second.sends()) == ((2, None), NEW)
            assert "version 2, which was rolled back" in second.ring.problem
        source.previous = OLD
        async with member(await open_replica(), sandbox[1], source) as third:
            assert (third.in_use, third.sends()) == ((1, None), OLD)


async def test_who_was_away_for_several_rotations_has_what_is_in_use(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    source = MemorySource()
    async with fleet(postgres_database, open_replica, sandbox[1], source, source) as (first, second):
        for source.value in (NEW, THIRD, OLD):
            await first.rotate()
        await second.tend()

        assert first.in_use == (4, 3)
        assert (second.in_use, second.sends()) == ((4, None), OLD)


async def test_what_others_write_into_a_row_is_not_taken_for_a_step(
    postgres_database: Database, sandbox: tuple[Sandbox, URL]
) -> None:
    source = MemorySource()
    async with member(postgres_database, sandbox[1], source) as one:

        async def vanish(tx: Transaction) -> tuple[None, None]:
            await tx.fetch("DELETE FROM cohere_key_version WHERE team = $1", TEAM)
            await rows.count_up(tx)
            return None, None

        await one.books.change(Work("", vanish))
        await one.tend()

        assert (one.in_use, one.sends()) == ((1, None), OLD)
        assert [each["event"] for each in await one.notices()].count("cohere_key_adopted") == 2


async def test_a_step_waits_for_what_another_replica_is_changing(
    postgres_database: Database, open_replica: Opener, sandbox: tuple[Sandbox, URL]
) -> None:
    shared = MemorySource()
    async with fleet(postgres_database, open_replica, sandbox[1], shared, shared, shared) as members:
        shared.value = NEW
        await members[0].rotate()
        made = await asyncio.gather(*(_rolled_back(each) for each in members))

        assert sorted(made) == [False, False, True]
        history = await history_in(postgres_database)
        assert [each.state for each in history.versions] == [State.CURRENT, State.ROLLED_BACK]


async def _rolled_back(one: Member) -> bool:
    def act(history: History, now_us: int) -> Change:
        return machine.roll_back(history, 2, Cause.KEY_REJECTED, "refused", now_us)

    return await one.replica.step(one.keys, act)

"""A replica that starts while the database does not take what it has to write, on both engines."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from clients.sandbox import Sandbox
from service.books.entries import Work
from service.books.errors import BooksUnavailable
from service.rotation import follower
from service.storage.database import Database
from tests.rotation.scene import NEW, OLD, Member, MemorySource, member


@pytest.fixture
async def beginner(
    database: Database, sandbox: tuple[Sandbox, URL], source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Member]:
    """The first replica on its database, which is yet to start."""
    monkeypatch.setattr(follower, "WRITE_AGAIN_S", 0.0)
    async with member(database, sandbox[1], source, started=False) as made:
        yield made


async def refused(_: Work) -> object:
    raise BooksUnavailable("the database does not answer")


async def test_a_start_waits_for_a_database_that_does_not_take_the_first_version_at_once(
    beginner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, refusals = beginner.books.change, iter(range(3))

    async def refused_thrice(work: Work) -> object:
        return await change(work) if next(refusals, None) is None else await refused(work)

    monkeypatch.setattr(beginner.books, "change", refused_thrice)

    await beginner.follower.start()

    assert (beginner.in_use, beginner.sends()) == ((1, None), OLD)
    assert next(refusals, None) is None


async def test_a_start_fails_if_the_database_does_not_take_the_first_version_and_leaves_nothing_behind(
    beginner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "START_WAIT_S", 0.1)
    monkeypatch.setattr(beginner.books, "change", refused)
    before = asyncio.all_tasks()

    with pytest.raises(BooksUnavailable, match="does not answer"):
        await beginner.follower.start()

    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(("value", "previous"), [(OLD, None), (NEW, OLD)], ids=["known", "known before"])
async def test_a_start_with_a_version_that_is_known_does_not_wait_for_the_database(
    one: Member,
    database: Database,
    sandbox: tuple[Sandbox, URL],
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    previous: str | None,
) -> None:
    async with member(database, sandbox[1], MemorySource(value, previous), started=False) as second:
        monkeypatch.setattr(second.books, "change", refused)

        await second.follower.start()

        assert (second.in_use, second.sends()) == (one.in_use, OLD)

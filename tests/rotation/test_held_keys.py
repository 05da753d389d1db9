"""Keys that Cohort holds: given in a request, sealed in the database, and the same on every replica."""

from collections.abc import AsyncIterator

import pytest
from yarl import URL

from service.books.entries import Work
from service.rotation.history import Cause, State
from service.storage.database import Database, Transaction
from tests.databases import Opener
from tests.rotation.scene import NEW, OLD, STRANGER, Member, cohere, history_in, member

KEKS = {"1": bytes(range(32)), "2": bytes(range(32, 64))}
ONE = {"1": KEKS["1"]}


@pytest.fixture
async def url() -> AsyncIterator[URL]:
    async with cohere() as (_, url):
        yield url


@pytest.fixture
async def one(database: Database, url: URL) -> AsyncIterator[Member]:
    async with member(database, url, keks=ONE) as made:
        yield made


async def sealed(database: Database) -> list[bytes | None]:
    async def look(tx: Transaction) -> list[bytes | None]:
        rows = await tx.fetch("SELECT sealed FROM cohere_key_version ORDER BY version")
        return [None if envelope is None else bytes(envelope) for (envelope,) in rows]

    return await database.read(look)


async def test_the_first_key_is_given_in_a_request(one: Member) -> None:
    assert one.sends() is None
    assert "no key was given yet" in one.ring.problem
    told = await one.rotate(OLD)

    assert told.rotation is not None
    assert (told.rotation.state, told.rotation.previous_version) == (State.CURRENT, None)
    assert (one.in_use, one.sends()) == ((1, None), OLD)


async def test_the_next_one_takes_its_place(one: Member) -> None:
    await one.rotate(OLD)
    await one.rotate(NEW)

    assert (one.in_use, one.sends()) == ((2, 1), NEW)


async def test_a_key_that_fails_is_not_kept(one: Member, database: Database) -> None:
    await one.rotate(OLD)
    told = await one.rotate(STRANGER)

    assert told.rotation is not None
    assert told.rotation.cause is Cause.OTHER_ORGANIZATION
    assert (await sealed(database))[1] is None
    assert one.sends() == OLD


async def test_reloading_finds_what_is_in_use(one: Member) -> None:
    await one.rotate(OLD)

    assert (await one.rotate()).unchanged


async def test_reloading_finds_nothing_where_no_key_was_given(one: Member) -> None:
    told = await one.rotate()

    assert told.rotation is not None
    assert told.rotation.cause is Cause.KEY_NOT_SET


async def test_a_replica_that_starts_has_both_versions(
    postgres_database: Database, open_replica: Opener, url: URL
) -> None:
    async with member(postgres_database, url, keks=ONE) as first:
        await first.rotate(OLD)
        await first.rotate(NEW)
        async with member(await open_replica(), url, keks=ONE) as second:
            assert (second.in_use, second.sends()) == ((2, 1), NEW)


async def test_a_row_in_the_place_of_another_does_not_open(database: Database, one: Member, url: URL) -> None:
    await one.rotate(OLD)
    await one.rotate(NEW)

    async def swap(tx: Transaction) -> tuple[None, None]:
        first, second = [envelope for (envelope,) in await tx.fetch(
            "SELECT sealed FROM cohere_key_version ORDER BY version"
        )]  # fmt: skip
        await tx.fetch("UPDATE cohere_key_version SET sealed = $1 WHERE version = 1", second)
        await tx.fetch("UPDATE cohere_key_version SET sealed = $1 WHERE version = 2", first)
        return None, None

    await one.books.change(Work("", swap))
    async with member(database, url, keks=ONE) as started:
        assert started.in_use == (None, None)
        assert "not as it was sealed" in started.ring.problem


async def test_keys_are_sealed_anew_under_a_newer_kek(database: Database, one: Member, url: URL) -> None:
    await one.rotate(OLD)
    await one.rotate(NEW)
    before = await sealed(database)
    async with member(database, url, keks=KEKS) as newer:
        assert await newer.held.reseal() == 2
        assert await newer.held.reseal() == 0
        assert newer.sends() == NEW
        assert [each["event"] for each in await newer.notices()].count("cohere_key_resealed") == 2
    async with member(database, url, keks={"2": KEKS["2"]}) as newest:
        assert newest.in_use == (2, 1)
    assert not set(before) & set(await sealed(database))


async def test_a_kek_that_is_gone_is_told_and_nothing_is_lost(database: Database, one: Member, url: URL) -> None:
    await one.rotate(OLD)
    before = await sealed(database)
    async with member(database, url, keks={"2": KEKS["2"]}) as without:
        assert await without.held.reseal() == 0
        assert without.in_use == (None, None)
        assert "key encryption key '1'" in without.ring.problem
    assert await sealed(database) == before


async def test_a_key_whose_kek_is_gone_can_be_given_once_more(database: Database, one: Member, url: URL) -> None:
    await one.rotate(OLD)
    only_the_newer = {"2": KEKS["2"]}
    async with member(database, url, keks=only_the_newer) as without:
        told = await without.rotate(OLD)
        assert (told.unchanged, without.in_use, without.sends()) == (True, (1, None), OLD)
        assert [each["event"] for each in await without.notices()][-1] == "cohere_key_resealed"
        again = await sealed(database)
        await without.rotate(OLD)
        assert await sealed(database) == again
    async with member(database, url, keks=only_the_newer) as another:
        assert (another.in_use, another.sends()) == ((1, None), OLD)


async def test_no_value_is_in_any_row(one: Member, database: Database) -> None:
    await one.rotate(OLD, request_id="r", request_digest=one.replica.fingerprints.of_request(OLD.encode()))
    await one.rotate(NEW)

    async def everything(tx: Transaction) -> bytes:
        tables = ("cohere_key_version", "cohere_key_rotation", "audit")
        return b"\n".join([repr(await tx.fetch(f"SELECT * FROM {table}")).encode() for table in tables])

    rows = await database.read(everything)
    assert OLD.encode() not in rows
    assert NEW.encode() not in rows
    assert (await history_in(database)).current is not None

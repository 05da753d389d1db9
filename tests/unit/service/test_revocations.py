"""How soon a revoked access key lets nobody in, whatever else the database has to do, on both databases."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cohort.v1.access_key_pb2 import RevokeAccessKeyRequest
from service.books.books import Books
from service.books.entries import Work
from service.books.errors import BooksUnavailable
from service.identity.identities import Identities
from service.identity.refusals import CredentialRefused
from service.storage.database import Database
from tests.busy_readers import busy_readers
from tests.databases import Opener
from tests.unit.service.key_replica import OPERATOR, PEPPERS, Replica, key_replica

REVOKED_WITHIN_S = 2.0


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with key_replica(database) as made:
        yield made


@pytest.fixture
def open_elsewhere(request: pytest.FixtureRequest, database: Database) -> Opener:
    """Opens the database as another replica has it; on SQLite, which has one process, the very same."""

    async def the_same() -> Database:
        return database

    opener: Opener = the_same if database.engine == "sqlite" else request.getfixturevalue("open_replica")
    return opener


async def test_a_revocation_is_in_force_elsewhere_in_time_though_reports_keep_every_reader_busy(
    replica: Replica, open_elsewhere: Opener
) -> None:
    elsewhere = await open_elsewhere()
    key = await replica.create()
    committer: Any = None
    renewed = asyncio.Event()
    other = Identities(Books(elsewhere, committer), renewed.set)
    other.take_over("test", PEPPERS)
    await other.refresh()
    before = other.access_keys.principal_of(key.secret, time.time())
    following = asyncio.create_task(other.follow())

    async with busy_readers(elsewhere):
        renewed.clear()
        await replica.revoke(key.access_key.id)
        async with asyncio.timeout(REVOKED_WITHIN_S):
            await renewed.wait()
        with pytest.raises(CredentialRefused, match="revoked access key"):
            other.access_keys.principal_of(key.secret, time.time())
    following.cancel()

    assert before.credential_id == key.access_key.id


async def test_a_revocation_is_in_force_here_at_once_though_reports_keep_every_reader_busy(replica: Replica) -> None:
    key = await replica.create()
    async with busy_readers(replica.database):
        await replica.revoke(key.access_key.id)

        with pytest.raises(CredentialRefused, match="revoked access key"):
            replica.principal_of(key.secret)


async def test_a_key_is_made_and_rotated_though_reports_keep_every_reader_busy(replica: Replica) -> None:
    request = await replica.asked()
    async with busy_readers(replica.database), asyncio.timeout(REVOKED_WITHIN_S):
        key = await replica.ask(request)
        rotated = await replica.rotate(key.access_key.id, overlap_seconds=0)

        assert [lets_in(replica, shown.secret) for shown in (key, rotated)] == [False, True]


async def test_a_revocation_is_in_force_here_though_the_database_cannot_be_read_any_more(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = await replica.create(), await replica.create()

    async def unread(*_: object) -> None:
        raise BooksUnavailable("for a test")

    with monkeypatch.context() as patched:
        patched.setattr(replica.books, "glance", unread)
        await replica.revoke(key.access_key.id)
        with pytest.raises(CredentialRefused, match="revoked access key"):
            replica.principal_of(key.secret)
    await replica.identities.refresh()

    with pytest.raises(CredentialRefused, match="revoked access key"):
        replica.principal_of(key.secret)
    assert replica.principal_of(other.secret).credential_id == other.access_key.id


@pytest.mark.parametrize("with_successors", [True, False])
async def test_what_took_a_keys_place_ends_here_with_it_though_nothing_can_be_read_and_else_goes_on(
    replica: Replica,
    monkeypatch: pytest.MonkeyPatch,
    with_successors: bool,  # noqa: FBT001
) -> None:
    key = await replica.create()
    successor = await replica.rotate(key.access_key.id)

    async def unread(*_: object) -> None:
        raise BooksUnavailable("for a test")

    monkeypatch.setattr(replica.books, "glance", unread)
    await replica.end(key.access_key.id, with_successors=with_successors)

    assert [lets_in(replica, shown.secret) for shown in (key, successor)] == [False, not with_successors]


async def test_a_revocation_is_in_force_here_though_its_operator_hangs_up_and_nothing_can_be_read(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await replica.create()
    change, durable, told = replica.books.change, asyncio.Event(), asyncio.Event()

    async def slowly(work: Work) -> Any:
        given = await change(work)
        durable.set()
        await told.wait()
        return given

    async def unread(*_: object) -> None:
        raise BooksUnavailable("for a test")

    monkeypatch.setattr(replica.books, "change", slowly)
    monkeypatch.setattr(replica.books, "glance", unread)
    call = replica.stub.RevokeAccessKey(RevokeAccessKeyRequest(id=key.access_key.id), metadata=OPERATOR)
    await durable.wait()
    call.cancel()
    await replica.listed()  # by now the service knows that nobody waits
    told.set()

    async with asyncio.timeout(REVOKED_WITHIN_S):
        while lets_in(replica, key.secret):
            await asyncio.sleep(0.001)


def lets_in(replica: Replica, access_key: str) -> bool:
    try:
        replica.principal_of(access_key)
    except CredentialRefused:
        return False
    return True

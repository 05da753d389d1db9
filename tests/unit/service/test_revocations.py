"""How soon a revoked access key lets nobody in, whatever else the database has to do, on both databases."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.books.books import Books
from service.books.errors import BooksUnavailable
from service.identity.identities import Identities
from service.identity.refusals import CredentialRefused
from service.storage.database import Database
from tests.busy_readers import busy_readers
from tests.databases import Opener
from tests.unit.service.key_replica import PEPPERS, Replica, key_replica

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

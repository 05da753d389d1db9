"""How a process follows the directory, in simulated time: what wins over what, and how soon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from service.books.errors import BooksUnavailable
from service.identity.access_keys import AccessKeyRecord, create, digest_of
from service.identity.directory import Directory
from service.identity.identities import Identities
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.seals import Sealed, Seals
from service.storage.database import Transaction
from tests.books.scripted import in_simulated_time
from tests.unit.identity.account_tokens import Account

PEPPER = b"p" * 32
KEY_ID, ACCESS_KEY = create("test")
PRINCIPAL = Principal("search", "app", frozenset({"chat"}), "access_key", KEY_ID)
ACCOUNT = Account()
SEALED = Sealed(b"a row", "1", Seals({"1": PEPPER}).of(b"a row", "1"))


def directory(version: int, *, revoked: bool = False) -> Directory:
    """One access key and one service account."""
    key = AccessKeyRecord(KEY_ID, digest_of(ACCESS_KEY, PEPPER), "1", PRINCIPAL, 1e10, revoked, SEALED)
    account = replace(ACCOUNT.record(revoked=revoked), sealed=SEALED)
    return Directory(version, (key,), {ACCOUNT.id: account})


class SlowBooks:
    """Books whose glances take *took_s*, and see what was there when they began.

    Attributes:
        kept: The directory that is in the database.
        waits_s: How long each glance was allowed to take.
    """

    def __init__(self, took_s: float = 0.0) -> None:
        self.kept = directory(1)
        self.took_s = took_s
        self.waits_s: list[float] = []

    async def glance(self, _: Callable[[Transaction], Awaitable[Any]], wait_s: float) -> Directory:
        self.waits_s.append(wait_s)
        seen = self.kept
        if self.took_s > wait_s:
            await asyncio.sleep(wait_s)
            raise BooksUnavailable("it takes longer")
        await asyncio.sleep(self.took_s)
        return seen


def identities_of(books: SlowBooks) -> Identities:
    """Those of a process in front of *books*."""
    any_books: Any = books
    identities = Identities(any_books, lambda: None)
    identities.take_over("test", {"1": PEPPER})
    return identities


def lets_in(identities: Identities) -> bool:
    """Whether the access key and the service account are in force; both are, or none."""
    try:
        identities.access_keys.principal_of(ACCESS_KEY, 0.0)
    except CredentialRefused:
        assert identities.accounts[ACCOUNT.id].revoked
        return False
    assert not identities.accounts[ACCOUNT.id].revoked
    return True


@contextlib.asynccontextmanager
async def following(identities: Identities) -> AsyncIterator[None]:
    task = asyncio.create_task(identities.follow())
    yield
    task.cancel()


@pytest.mark.parametrize("took_s", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("moment_s", [0.01, 0.5, 0.999, 1.001, 1.6])
@in_simulated_time
async def test_a_change_elsewhere_is_in_force_within_two_seconds_however_long_a_glance_takes(
    took_s: float, moment_s: float
) -> None:
    books = SlowBooks(took_s)
    identities = identities_of(books)
    await identities.refresh()
    async with following(identities):
        await asyncio.sleep(3.0 + moment_s)
        books.kept = directory(2, revoked=True)
        assert lets_in(identities)
        await asyncio.sleep(2.0)

        assert not lets_in(identities)


@in_simulated_time
async def test_a_revocation_here_is_in_force_at_once_and_a_read_that_began_before_does_not_undo_it() -> None:
    books = SlowBooks(took_s=0.5)
    identities = identities_of(books)
    await identities.refresh()
    books.kept = directory(2)
    reading = asyncio.create_task(identities.refresh())
    await asyncio.sleep(0.25)

    identities.revoked(KEY_ID)
    identities.revoked(ACCOUNT.id)
    at_once = lets_in(identities)
    await reading

    assert not at_once
    assert not lets_in(identities)


@in_simulated_time
async def test_a_revocation_of_what_is_not_known_yet_is_in_force_when_it_becomes_known() -> None:
    books = SlowBooks()
    identities = identities_of(books)
    identities.revoked(KEY_ID)
    identities.revoked(ACCOUNT.id)
    await identities.refresh()

    assert not lets_in(identities)


@in_simulated_time
async def test_a_database_that_went_back_to_an_earlier_version_is_followed() -> None:
    books = SlowBooks()
    books.kept = directory(7)
    identities = identities_of(books)
    await identities.refresh()
    books.kept = directory(3, revoked=True)
    await identities.refresh()

    assert not lets_in(identities)


@in_simulated_time
async def test_of_reads_at_the_same_time_the_older_one_does_not_win() -> None:
    books = SlowBooks(took_s=0.9)
    identities = identities_of(books)
    early = asyncio.create_task(identities.refresh())
    await asyncio.sleep(0.1)
    books.kept, books.took_s = directory(2, revoked=True), 0.1
    await identities.refresh()
    await early

    assert not lets_in(identities)


@in_simulated_time
async def test_a_directory_that_takes_longer_than_a_look_is_read_all_the_same() -> None:
    books = SlowBooks()
    identities = identities_of(books)
    await identities.refresh()
    books.kept, books.took_s = directory(2, revoked=True), 3.0
    async with following(identities):
        await asyncio.sleep(8.0)

    assert not lets_in(identities)
    assert books.waits_s[1] < 3.0 < books.waits_s[2]

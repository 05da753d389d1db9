import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from service import config
from service.audit_keys import audit_keys_of
from service.bookkeeping import Bookkeeping, bookkeeping, last_prices
from service.books.alerts import Alerts
from service.books.entries import UTC, Admission
from service.books.errors import BooksUnavailable
from service.pricing.book import PriceBook
from service.snapshot import Snapshot
from tests.books_lines import books_lines

MIB = 1024 * 1024


class Kept:
    """Open books with a ballast, and what they told."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.alerts: list[str] = []
        self.free_bytes = 100 * MIB
        self.books: Bookkeeping

    async def look(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes
        await self.books.look_at_disk()


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    file = tmp_path / "cohort.toml"
    lines = books_lines(tmp_path).replace("ballast_mib = 0", "ballast_mib = 1")
    team = '[teams.demo]\ncohere_key = "file:key"\nmodels = ["m"]\nmax_tokens_per_call = 1\ndaily_budget_usd = 1\n'
    file.write_text(lines + team)
    loaded = config.load(file)
    found = Kept()
    alerts = Alerts(lambda kind, _: found.alerts.append(kind), lambda: 1)
    async with bookkeeping(loaded, audit_keys_of(loaded), alerts, found.told.append, lambda *_: None) as books:
        assert books.ballast is not None
        books.ballast._free = lambda _: found.free_bytes
        found.books = books
        yield found


def admission() -> Admission:
    return Admission("demo", "c", 1, 10, UTC, 1, "v", "chat", "m", "k", lambda _: b"{}", lambda _: b"{}")


async def test_a_full_disk_stops_what_is_new_and_the_room_lets_it_begin_again(kept: Kept) -> None:
    await kept.look(MIB)

    with pytest.raises(BooksUnavailable, match="disk"):
        await kept.books.books.admit(admission())
    assert (kept.told, kept.alerts) == ([False], ["disk"])

    await kept.look(100 * MIB)

    await kept.books.books.admit(admission())
    assert (kept.told, kept.alerts) == ([False, True], ["disk"])


async def test_a_disk_that_stays_full_is_told_once(kept: Kept) -> None:
    await kept.look(MIB)
    await kept.look(MIB)

    assert (kept.told, kept.alerts) == ([False], ["disk"])


async def test_a_price_book_that_is_new_is_compared_with_the_one_in_force_last(kept: Kept) -> None:
    books = [PriceBook(label, ()) for label in ("a", "b")]
    for prices in (*books, books[0]):
        kept.books.take_over(cast("Snapshot", SimpleNamespace(price_book=prices, policies={})))
        while kept.books.committer.waiting:
            await asyncio.sleep(0)

    last = await last_prices(kept.books.database, "never-seen")

    assert last is not None
    assert last.version == books[0].version
    assert await last_prices(kept.books.database, books[1].version) is None

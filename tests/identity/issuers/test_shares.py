"""Who may ask an issuer how much at once, and who is next."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from service.identity.issuers.shares import (
    ASKED_MAX,
    ASKED_OF_ORIGIN_MAX,
    UNDER_WAY_MAX,
    UNDER_WAY_OF_ORIGIN_MAX,
    UNSEEN_ASKED_MAX,
    UNSEEN_UNDER_WAY_MAX,
    Shares,
    origin_of,
)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("ipv4:10.1.2.3:40000", "10.1.2.3"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:40000", "2001:db8:1:2::"),
        ("ipv6:[2001:db8:1:2::9]:40000", "2001:db8:1:2::"),
        ("ipv6:%5Bfe80::1%25eth0%5D:40000", "fe80::"),
        ("ipv6:%5B::ffff:10.1.2.3%5D:40000", "10.1.2.3"),
        ("ipv6:%5B::1%5D:40000", "::"),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_an_origin_is_an_address_without_its_port(address: str, origin: str) -> None:
    assert origin_of(address) == origin


def entered(shares: Shares, origin: str, times: int, *, seen: bool = False) -> int:
    """How many of so many are let in."""
    return sum(shares.enter(origin, seen=seen) for _ in range(times))


def test_no_origin_has_more_than_its_share_and_those_never_seen_no_more_than_theirs() -> None:
    shares = Shares()
    origins = UNSEEN_UNDER_WAY_MAX // UNDER_WAY_OF_ORIGIN_MAX

    assert [entered(shares, f"{number}", 1000) for number in range(origins + 1)] == [
        *[UNDER_WAY_OF_ORIGIN_MAX] * origins,
        0,
    ]
    assert entered(shares, "0", 1000, seen=True) == UNDER_WAY_MAX - UNSEEN_UNDER_WAY_MAX


def test_a_share_that_was_given_back_is_another_ones() -> None:
    shares = Shares()
    for _ in range(3):
        assert entered(shares, "a", 1000) == UNDER_WAY_OF_ORIGIN_MAX
        assert entered(shares, "b", 1000, seen=True) == UNDER_WAY_MAX - UNDER_WAY_OF_ORIGIN_MAX
        for _ in range(UNDER_WAY_OF_ORIGIN_MAX):
            shares.leave("a", seen=False)
        for _ in range(UNDER_WAY_MAX - UNDER_WAY_OF_ORIGIN_MAX):
            shares.leave("b", seen=True)

    assert not shares._origins


class Asking:
    """Tokens at an issuer that answers each when the test says so."""

    def __init__(self) -> None:
        self.shares = Shares()
        self.asked: list[str] = []
        self.answers = asyncio.Semaphore(0)
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, origin: str, times: int = 1, *, seen: bool = False) -> None:
        for _ in range(entered(self.shares, origin, times, seen=seen)):
            self._tasks.append(asyncio.create_task(self._ask(origin, seen=seen)))

    async def settled(self) -> list[str]:
        """Whose tokens have reached the issuer when nothing moves any more."""
        for _ in range(20):  # each passes three limits at most, and nothing but the loop is waited for
            await asyncio.sleep(0)
        return self.asked

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _ask(self, origin: str, *, seen: bool) -> None:
        async with self.shares.turn(origin, seen=seen):
            self.asked.append(origin)
            await self.answers.acquire()
        self.shares.leave(origin, seen=seen)


@contextlib.asynccontextmanager
async def asking() -> AsyncIterator[Asking]:
    issuer = Asking()
    try:
        yield issuer
    finally:
        await issuer.end()


async def test_one_origin_leaves_connections_to_others() -> None:
    async with asking() as issuer:
        issuer.begin("a", 1000)
        assert await issuer.settled() == ["a"] * ASKED_OF_ORIGIN_MAX
        issuer.begin("b")

        assert (await issuer.settled())[-1] == "b"


async def test_who_comes_from_elsewhere_is_next_however_many_wait() -> None:
    async with asking() as issuer:
        for origin in ("a", "b"):
            issuer.begin(origin, 1000)
        assert len(await issuer.settled()) == UNSEEN_ASKED_MAX
        issuer.begin("c")
        assert "c" not in await issuer.settled()
        issuer.answers.release()

        assert (await issuer.settled())[UNSEEN_ASKED_MAX] == "c"


async def test_a_token_that_was_seen_active_waits_for_no_other() -> None:
    async with asking() as issuer:
        for number in range(10):
            issuer.begin(f"{number}", 1000)
        assert len(await issuer.settled()) == UNSEEN_ASKED_MAX
        issuer.begin("seen", 1000, seen=True)

        assert (await issuer.settled())[UNSEEN_ASKED_MAX:] == ["seen"] * (ASKED_MAX - UNSEEN_ASKED_MAX)


async def test_everyone_has_a_turn_in_the_end() -> None:
    async with asking() as issuer:
        for origin in ("a", "b", "c"):
            issuer.begin(origin, 50)
        issuer.begin("d", 50, seen=True)
        for _ in range(200):
            issuer.answers.release()
            await issuer.settled()

        assert sorted(issuer.asked) == sorted("abcd" * 50)
        assert not issuer.shares._origins
        assert issuer.shares.enter("a", seen=False)

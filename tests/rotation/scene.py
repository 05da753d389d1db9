"""Replicas of the service as far as rotation goes: real rows, rings and checks, a sandbox as Cohere.

Time is the database's: what waits for a lease or an overlap is waited for by moving its clock.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from yarl import URL

from clients.errors import SecretMissing, SourceUnavailable
from clients.key_check import KeyChecker
from clients.key_ring import KeyRing
from clients.sandbox import Sandbox
from clients.sandbox.keys import Key, KeyState
from clients.secrets.key_source import KeySource, Secret
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.rotation import rows
from service.rotation.carrying import Carrier
from service.rotation.checking import CheckedByCohere
from service.rotation.fingerprint import Fingerprints
from service.rotation.follower import Follower
from service.rotation.held import Envelopes
from service.rotation.held_keys import HeldKeys
from service.rotation.history import History
from service.rotation.parts import Checked, Checker, Probe, TeamWay, no_probe
from service.rotation.replica import Replica
from service.rotation.rotations import Rotations, Told, Wish
from service.rotation.team_keys import TeamKeys
from service.storage.database import Database, Transaction

TEAM = "search"
HMAC_KEY = b"h" * 32
CALL_US_MAX = 1_000_000_000
DAY_US = 86_400_000_000
OLD, NEW, THIRD = ("canary-" + name * 11 for name in ("old", "new", "tri"))
STRANGER, UNKNOWN = "canary-" + "str" * 11, "canary-" + "unk" * 11
"""A key of another organization, and one that Cohere does not know."""


class MemorySource:
    """A source whose value a test sets; `SourceUnavailable` while it is away."""

    kind = "vault"
    path = None

    def __init__(self, value: str | None = OLD, previous: str | None = None) -> None:
        self.reference = "vault:cohere/search#key"
        self.value = value
        self.previous = previous
        self.away = False
        self.reads = 0

    async def read(self) -> Secret:
        self.reads += 1
        if self.away:
            raise SourceUnavailable(f"{self.reference}: no route to it")
        if self.value is None:
            raise SecretMissing(f"{self.reference}: holds none")
        return Secret(self.value)

    async def read_previous(self) -> Secret | None:
        if self.away:
            raise SourceUnavailable(f"{self.reference}: no route to it")
        return None if self.previous is None else Secret(self.previous)


class Stopped:
    """A checker that does not answer before it is told to; how often it was asked."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self.free = asyncio.Event()
        self.free.set()
        self.asked = 0

    async def check(self, value: str, base_url: URL) -> Checked:
        self.asked += 1
        await self.free.wait()
        return await self._checker.check(value, base_url)


@dataclass
class Member:
    """One replica."""

    replica: Replica
    rotations: Rotations
    follower: Follower
    held: HeldKeys
    source: KeySource
    ring: KeyRing
    checker: Stopped
    committer: Committer
    books: Books
    told: list[str] = field(default_factory=list)
    """What operators were told that nobody waited for."""

    @property
    def keys(self) -> TeamKeys:
        keys = self.replica.of(TEAM)
        assert keys is not None
        return keys

    @property
    def history(self) -> History:
        return self.keys.history

    @property
    def in_use(self) -> tuple[int | None, int | None]:
        """The numbers of the versions that calls use and fall back on."""
        current, previous = self.ring.in_use, self.ring.previous
        return (current.version if current else None, previous.version if previous else None)

    def sends(self) -> str | None:
        """The value that calls send."""
        return None if self.ring.in_use is None else self.ring.in_use.reveal()

    async def rotate(self, value: str | None = None, **wish: object) -> Told:
        return await self.rotations.rotate(wished(value, **wish))

    async def look(self) -> None:
        await self.rotations.look(self.keys)

    async def tend(self) -> None:
        """One round of what a replica does every second, to its end."""
        await self.replica.refresh()
        await self.follower.tend_all()

    async def notices(self) -> list[dict[str, object]]:
        async def look(tx: Transaction) -> list[str]:
            sql = "SELECT body FROM audit WHERE kind = 'notice' ORDER BY at_us, seq"
            return [body for (body,) in await tx.fetch(sql)]

        found = [orjson.loads(body) for body in await self.books.read(look)]
        return [each for each in found if each["event"].startswith("cohere_key")]


def wished(value: str | None = None, **wish: object) -> Wish:
    fields: dict[str, object] = {"team": TEAM, "by": "platform/ada", "overlap_us": DAY_US, "value": value} | wish
    return Wish(**fields)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def cohere() -> AsyncIterator[tuple[Sandbox, URL]]:
    """A sandbox that takes every key but `UNKNOWN`."""
    sandbox = Sandbox()
    async with sandbox.serve() as url:
        accept(sandbox, OLD, NEW, THIRD, STRANGER)
        yield sandbox, URL(url)


def accept(sandbox: Sandbox, *values: str, **states: KeyState) -> None:
    """Has Cohere take these values alone."""
    organization = {STRANGER: "another-organization"}
    sandbox.state.keys.replace(
        Key(f"key-{number}", value, organization.get(value, "our-organization"), states.get(value, KeyState.ACTIVE))
        for number, value in enumerate(values)
    )


@contextlib.asynccontextmanager
async def member(
    database: Database,
    url: URL,
    source: KeySource | None = None,
    *,
    keks: Mapping[str, bytes] | None = None,
    probe: Probe = no_probe,
    started: bool = True,
) -> AsyncIterator[Member]:
    """One replica on a database.

    Args:
        database: Its own connection.
        url: Of the sandbox.
        source: Where the team's key comes from; None: Cohort holds it.
        keks: Key encryption keys.
        probe: Tries keys.
        started: It has done what a start does.
    """
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    books = Books(database, committer)
    keks = keks or {"1": bytes(32)}
    held = HeldKeys(books, Envelopes(keks, max(keks)))
    replica = Replica(books, Fingerprints(HMAC_KEY), f"replica-{id(committer)}")
    asking = KeyChecker()
    checker = Stopped(CheckedByCohere(asking))
    carrier = Carrier(replica, held, checker, probe)
    told: list[str] = []
    rotations = Rotations(replica, held, carrier, lambda _, problem: told.append(problem))
    follower = Follower(replica, rotations, carrier, 60.0, CALL_US_MAX)
    ring = KeyRing()
    way = TeamWay(source or held.source(TEAM), ring, url)
    replica.take_over({TEAM: way})
    made = Member(replica, rotations, follower, held, way.source, ring, checker, committer, books, told)
    if started:
        await follower.start()
    try:
        yield made
    finally:
        await follower.close()
        await rotations.close()
        asking.close()
        assert await committer.close(10.0) == 0


async def history_in(database: Database) -> History:
    """What the rows say."""
    return await database.read(lambda tx: rows.read_history(tx, TEAM))


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def until_open(one: Member) -> None:
    await until(lambda: one.history.open is not None and one.checker.asked > 0)

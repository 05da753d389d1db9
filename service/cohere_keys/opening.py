"""Makes what rotates Cohere keys, ties it to the rings that calls use, and keeps it up to date with config and rows."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog

from clients.errors import SecretMissing
from clients.key_check import KeyChecker
from service.audit_keys import hmac_key_of
from service.books.alerts import Alerts
from service.books.books import Books
from service.books.errors import BooksError, BooksUnavailable
from service.cohere_keys.source_watch import Counts, SourceWatch
from service.cohere_keys.sources import KeySources
from service.config import ConfigError, LoadedConfig
from service.identity.base62 import random_base62
from service.rotation.carrying import Carrier
from service.rotation.checking import CheckedByCohere
from service.rotation.fingerprint import Fingerprints
from service.rotation.follower import Follower
from service.rotation.held import KEK_BYTES, Envelopes
from service.rotation.held_keys import HeldKeys
from service.rotation.parts import Probe, TeamWay
from service.rotation.replica import Replica
from service.rotation.rotations import Rotations
from service.rotation.team_keys import TeamKeys
from service.snapshot import Snapshot

ROLL_BACK_AGAIN_S = 1.0
_NAME_DIGITS = 12

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """Everything that rotates keys."""

    sources: KeySources
    watch: SourceWatch
    replica: Replica
    rotations: Rotations
    follower: Follower
    held: HeldKeys
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def take_over(self, snapshot: Snapshot) -> None:
        """Takes a config that is about to come into force.

        Raises:
            ConfigError: A team's source cannot be made; nothing is changed.
        """
        sources = self.sources.of(snapshot.loaded)
        clients = snapshot.clients
        self.replica.take_over(
            {
                team: TeamWay(self.watch.watched(team, source), clients[team].keys, clients[team].base_url)
                for team, source in sources.items()
            }
        )
        self.watch.keep(sources)
        for keys in self.replica.teams:
            clients[keys.team].keys.renew = functools.partial(self.rotations.renew, keys)

    async def start(self) -> None:
        """Takes each team's key into use as its source and the rows have it.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        resealed = await self.held.reseal()
        if resealed:
            _log.info("held cohere keys sealed anew", count=resealed, kek_version=self.held.envelopes.current)
        await self.follower.start()

    def survived(self, team: str, refused: int, survivor: int) -> None:
        """Rolls back, in a task of its own: Cohere refused a version in a call that the one before survived."""
        keys = self.replica.of(team)
        if keys is None:
            return
        task = asyncio.create_task(self._rolled_back(keys, refused, survivor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leaves what is under way to others."""
        for task in self._tasks:
            task.cancel()
        await self.follower.close()
        await self.rotations.close()
        await self.sources.close()

    async def _rolled_back(self, keys: TeamKeys, refused: int, survivor: int) -> None:
        while True:
            try:
                return await self.rotations.survived(keys, refused, survivor)
            except BooksError as error:  # nobody says it again; calls go on with the one that survived
                _log.warning("rotation not rolled back", team=keys.team, key_version=refused, problem=str(error))
            await asyncio.sleep(ROLL_BACK_AGAIN_S)


@contextlib.asynccontextmanager
async def key_rotation(
    snapshot: Snapshot, books: Books, alerts: Alerts, counts: Counts, probe: Probe, call_us_max: int
) -> AsyncIterator[KeyRotation]:
    """Takes every team's key into use, and follows it inside the context.

    Args:
        snapshot: What is in force.
        books: Where versions and rotations are kept.
        alerts: Told of what nobody waits for, and of sources that are away.
        counts: Counts what is read of sources.
        probe: Tries a key in a call.
        call_us_max: How long a call can last.

    Raises:
        ConfigError: A source cannot be made, or the database cannot be read.
    """
    loaded = snapshot.loaded
    held = HeldKeys(books, envelopes_of(loaded))
    replica = Replica(books, Fingerprints(hmac_key_of(loaded)), random_base62(_NAME_DIGITS))
    checker = KeyChecker()
    carrier = Carrier(replica, held, CheckedByCohere(checker), probe)
    rotations = Rotations(replica, held, carrier, alerts.rotation)
    follower = Follower(replica, rotations, carrier, loaded.config.secrets.refresh_seconds, call_us_max)
    watch = SourceWatch(alerts, counts)
    made = KeyRotation(KeySources(loaded, held.source), watch, replica, rotations, follower, held)
    made.take_over(snapshot)
    try:
        await made.start()
    except BooksUnavailable as error:
        raise ConfigError([f"books.database: {error}"]) from None
    following = asyncio.create_task(follower.follow())
    try:
        yield made
    finally:
        following.cancel()
        await made.close()
        checker.close()


def envelopes_of(loaded: LoadedConfig) -> Envelopes:
    """Reads the key encryption keys that a config refers to; none where Cohort keeps no keys.

    Raises:
        ConfigError: With every reason why they cannot be used.
    """
    held = loaded.config.secrets.held
    if held is None:
        return Envelopes({})
    keks: dict[str, bytes] = {}
    problems: list[str] = []
    for version, reference in held.keks.items():
        try:
            keks[version] = bytes.fromhex(loaded.secret(reference).read())
        except SecretMissing as missing:
            problems.append(f"secrets.held.keks.{version}: {missing}")
            continue
        except ValueError:  # what it says quotes the digits
            keks[version] = b""
        if len(keks[version]) != KEK_BYTES:
            advice = "make one with `openssl rand -hex 32`"
            problems.append(f"secrets.held.keks.{version}: not {KEK_BYTES * 2} hexadecimal digits; {advice}")
    if problems:
        raise ConfigError(problems)
    return Envelopes(keks, held.kek_version or max(keks, key=int))

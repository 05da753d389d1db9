"""Opens the books and keeps house beside the calls: notices, forfeits, the clock, checkpoints, prices."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import orjson
import structlog

from service.audit_keys import AuditKeys
from service.books import forfeits, ledger
from service.books.alerts import Alerts
from service.books.books import Books
from service.books.checkpoint_file import CheckpointFile
from service.books.checkpointer import Checkpointer
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.content import ContentHasher
from service.books.entries import Note, Work
from service.books.errors import BooksUnavailable
from service.books.period import Period
from service.books.records import Record
from service.books.refusals import Refusals
from service.books.signing import SigningKey
from service.config import ConfigError, LoadedConfig
from service.limits import counters
from service.pricing.book import PriceBook
from service.snapshot import Snapshot
from service.storage.database import Database, Transaction
from service.storage.disk import Ballast
from service.storage.errors import DatabaseUnavailable, StorageError
from service.storage.migrate import migrate
from service.storage.opening import open_database

NOTICES_INTERVAL_S = 1.0
CLOCK_INTERVAL_S = 10.0
FORFEITS_INTERVAL_S = 60.0
FLUSH_TIMEOUT_S = 10.0
"""How long a stop waits for what is not durable yet; a database that restarts is back by then."""

MIB = 1024 * 1024
LOW_WATER_BYTES = 16 * MIB
"""Room for the ends of a thousand attempts, with their share of the log, between two looks at the disk."""

_PRICES = "SELECT body FROM price_book ORDER BY at_us DESC, version LIMIT 1"
_KNOWN = "SELECT 1 FROM price_book WHERE version = $1"
_KEEP_PRICES = """
INSERT INTO price_book (version, at_us, body) VALUES ($1, clock_us(), $2)
ON CONFLICT (version) DO UPDATE SET at_us = excluded.at_us WHERE price_book.at_us < (SELECT MAX(at_us) FROM price_book)
RETURNING version"""

_log = structlog.get_logger()


@dataclass(slots=True)
class Bookkeeping:
    """The open books, and what goes with them."""

    database: Database
    committer: Committer
    clock: DatabaseClock
    hasher: ContentHasher
    alerts: Alerts
    books: Books
    told: Callable[[bool], None]
    ballast: Ballast | None = None
    refusals: Refusals = field(default_factory=Refusals)
    checkpointer: Checkpointer | None = None
    _told: bool = True

    def take_over(self, snapshot: Snapshot) -> None:
        """Notes a config that is about to come into force; its prices are durable before the first hold by them."""
        prices = snapshot.price_book

        async def act(tx: Transaction) -> tuple[None, Record | None]:
            if not await tx.fetch(_KEEP_PRICES, prices.version, prices.body):
                return None, None
            body = {"event": "prices_changed", "price_version": prices.version}
            return None, Record("notice", "", "", orjson.dumps(body))

        self.books.submit(Work("", act, keep=True))
        body = {"event": "reloaded", "teams": len(snapshot.policies), "price_version": prices.version}
        self.books.submit(Note("", Record("notice", "", "", orjson.dumps(body)), keep=True))

    async def keep_house(self, snapshot: Callable[[], Snapshot], call_us_max: int) -> None:
        """Does what is due, until cancelled.

        Args:
            snapshot: What is in force now.
            call_us_max: How long an attempt can be open while its process lives.
        """
        rounds = 0
        while True:
            await asyncio.sleep(NOTICES_INTERVAL_S)
            rounds += 1
            try:
                self._give_notice()
                await self.look_at_disk()
                if rounds % CLOCK_INTERVAL_S == 0:
                    await self.clock.follow(self.books.read(ledger.clock))
                if rounds % FORFEITS_INTERVAL_S == 0:
                    await self.forfeit(call_us_max)
                    await self._tell_forfeited(snapshot())
                    await self.books.run(counters.forget())
            except (StorageError, BooksUnavailable) as error:
                _log.warning("housekeeping not done", problem=str(error))
            except Exception as error:  # the next round may be better
                _log.error("housekeeping failed", exc_info=error)

    async def look_at_disk(self) -> None:
        """Lets new attempts begin while the database's disk has room for the ends of all."""
        if self.ballast is None:
            return
        has_room = await asyncio.to_thread(self.ballast.look)
        if self.books.has_room and not has_room:
            self.alerts.failed("disk", "nearly full: no new attempts begin")
        self.books.has_room = has_room
        self.tell(database_available=self.committer.available)

    def tell(self, *, database_available: bool) -> None:
        """Tells when new attempts can begin no longer, and when they can again."""
        available = database_available and self.books.has_room
        if available != self._told:
            self._told = available
            self.told(available)

    async def forfeit(self, open_longer_than_us: int) -> None:
        """Marks what no process will end any more."""
        teams = await self.books.read(lambda tx: forfeits.overdue_teams(tx, open_longer_than_us))
        for team in teams:
            while await self.committer.submit(forfeits.forfeit(team, open_longer_than_us)) == forfeits.ATTEMPTS_MAX:
                pass

    async def close(self) -> None:
        """Writes what is left, says what could not be written, and closes the database."""
        self._give_notice()
        left = await self.committer.close(FLUSH_TIMEOUT_S)
        if left:
            _log.critical("records not written", entries=left)
        if self.checkpointer is not None:  # nothing is written after this one
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.checkpointer.round(due=True), FLUSH_TIMEOUT_S)
        await self.database.close()

    def _give_notice(self) -> None:
        self.alerts.refused_credentials(self.refusals.bursts())
        if not self.committer.available:  # a notice would be lost: all is counted on until it can be written
            return
        for note in self.refusals.notices():
            self.books.submit(note)
            if not note.team:  # most of them have no log line either
                told = orjson.loads(note.record.body)
                _log.info(told["event"], sources=told["sources"], counts=told["counts"])

    async def _tell_forfeited(self, snapshot: Snapshot) -> None:
        for team, budget in snapshot.budgets.items():

            async def look(tx: Transaction, team: str = team) -> tuple[Period, int]:
                now = await ledger.standing(tx, team, snapshot.budgets[team].zone)
                return now.period, await ledger.forfeited(tx, team, now.period.start_us)

            if budget.limit_nanos:
                self.alerts.forfeited(team, *await self.books.read(look), budget.limit_nanos)


@contextlib.asynccontextmanager
async def bookkeeping(
    loaded: LoadedConfig,
    keys: AuditKeys,
    alerts: Alerts,
    told: Callable[[bool], None],
    waited: Callable[[str, float], None],
) -> AsyncIterator[Bookkeeping]:
    """Opens the books; leaving the context writes what is left and closes them.

    Args:
        loaded: The config.
        keys: The audit trail's.
        alerts: Told of what somebody should look at.
        told: Called with False when the books can no longer be written, with True when they can again.
        waited: See `Books`.

    Raises:
        ConfigError: The database cannot be opened.
    """
    try:
        database = await open_database(loaded.database_url(), loaded.database_password())
        await migrate(database)
        clock = DatabaseClock(await database.now_us())
    except (StorageError, ValueError) as error:
        raise ConfigError([f"books.database: {error}"]) from None
    for warning in database.warnings:
        _log.warning("database", problem=warning)

    def database_told(available: bool) -> None:  # noqa: FBT001 (a callback of one value)
        kept.tell(database_available=available)

    committer = Committer(database, clock, database_told)
    books = Books(database, committer, waited)
    kept = Bookkeeping(database, committer, clock, ContentHasher(keys.hmac_key), alerts, books, told)
    path, ballast_mib = loaded.database_path(), loaded.config.books.ballast_mib
    if path is not None and ballast_mib:
        kept.ballast = Ballast(path, LOW_WATER_BYTES, ballast_bytes=ballast_mib * MIB)
        await kept.look_at_disk()
    try:
        if database.engine == "sqlite":
            with contextlib.suppress(BooksUnavailable):  # else they wait until they are overdue
                await kept.forfeit(0)  # one process has the file, so what is open was its predecessor's
        yield kept
    finally:
        await kept.close()


def checkpointer_of(loaded: LoadedConfig, keys: AuditKeys, kept: Bookkeeping) -> Checkpointer:
    """What makes the checkpoints; a failing sink is told, and stops nothing."""
    file = CheckpointFile(loaded.path(loaded.config.audit.checkpoint_file))

    def failed(place: str, error: Exception) -> None:
        kept.alerts.failed("checkpoint", f"{place}: {error}")

    return Checkpointer(kept.database, SigningKey(keys.signing_key), file, failed)


async def last_prices(database: Database, version: str) -> PriceBook | None:
    """The price book that was taken into force last, if *version* never was; what is known needs no comparison."""

    async def look(tx: Transaction) -> str | None:
        if await tx.fetch(_KNOWN, version):
            return None
        rows = await tx.fetch(_PRICES)
        return rows[0][0] if rows else None

    try:
        body = await database.read(look)
    except DatabaseUnavailable as error:
        raise ConfigError([f"books.database: {error}"]) from None
    return None if body is None else PriceBook.parse(body)

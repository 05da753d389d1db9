"""Replicas of the limits on one database, each with stocks of its own, and callers who come to them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from google.rpc import error_details_pb2

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.errors import Refused
from service.identity.principal import OwnLimits, Principal
from service.limits.limit import Limit, TeamLimits
from service.limits.limiter import Limiter
from service.storage.database import Database, Script, T

UTC = ZoneInfo("UTC")
TEAM = "search"
CALLER = Principal(TEAM, "app", frozenset({"chat"}), "access_key", "id")
KEY = "access_key:2Bq7ZkP0aXcV"


def team_limits(
    *, minute: int | None = None, day: int | None = None, inputs: int | None = None, zone: ZoneInfo = UTC
) -> TeamLimits:
    rates = [
        Limit(f"team:{TEAM}", "requests_per_minute", minute or 0),
        Limit(f"team:{TEAM}", "requests_per_day", day or 0, zone),
        Limit(f"team:{TEAM}", "embed_inputs_per_minute", inputs or 0, of_inputs=True),
    ]
    return TeamLimits(tuple(limit for limit in rates if limit.most), zone=zone)


class CountedBooks(Books):
    """Books that count how often the limits went to the database."""

    trips = 0

    async def run(self, script: Script[T]) -> T:
        self.trips += 1
        return await super().run(script)


@dataclass
class Replica:
    """One process' limits."""

    books: CountedBooks
    limits: TeamLimits
    now_us: Callable[[], int]
    limiter: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.limiter = Limiter(self.books, self.now_us, lambda _: self.limits)

    async def asks(self, inputs: int = 0, own: OwnLimits | None = None) -> Refused | None:
        """One call; None if it is admitted."""
        try:
            await self.limiter.admit(TEAM, inputs, own)
        except Refused as refused:
            return refused
        return None


async def replica_on(database: Database, limits: TeamLimits, now_us: Callable[[], int] | None = None) -> Replica:
    clock = DatabaseClock(await database.now_us())
    committer = Committer(database, clock, lambda _: None)
    return Replica(CountedBooks(database, committer), limits, now_us or clock.now_us)


def wait_s(refused: Refused) -> float:
    """What a refused caller is told to wait, as it reads it."""
    (info,) = (detail for detail in refused.details() if isinstance(detail, error_details_pb2.RetryInfo))
    return float(info.retry_delay.ToMicroseconds() / 1e6)


@dataclass
class PatientCallers:
    """Callers that wait exactly as long as they are told.

    Attributes:
        refused: How often each of them was refused.
        admitted: How many of them were admitted, by the window that *window_of* makes of the time.
    """

    now_us: Callable[[], int]
    refused: Counter[int] = field(default_factory=Counter)
    admitted_us: list[int] = field(default_factory=list)

    async def call(
        self, number: int, replica_of: Callable[[], Replica], inputs: int = 0, own: OwnLimits | None = None
    ) -> None:
        while (refused := await replica_of().asks(inputs, own)) is not None:
            self.refused[number] += 1
            await asyncio.sleep(wait_s(refused))
        self.admitted_us.append(self.now_us())

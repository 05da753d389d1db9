"""The limits as the rest of the service sees them: what runs within them, and how it stands with them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from service.books.books import Books
from service.call import Call
from service.identity.principal import OwnLimits, Principal
from service.limits import counters
from service.limits.decision import Stock
from service.limits.in_flight import InFlight
from service.limits.limit import TeamLimits
from service.limits.limiter import Limiter
from service.limits.refusals import IN_FLIGHT
from service.storage.database import Transaction

T = TypeVar("T")


class LimitStanding(NamedTuple):
    """A limit and what is left of it."""

    holder: str
    """Whose it is: `team:search`."""
    name: str
    most: int
    remaining: int
    resets_at_us: int
    """0 if it does not."""


class Taken(NamedTuple):
    """What is asked of the counters, and what was held here when it was."""

    keys: Sequence[tuple[str, int]]
    held: dict[str, int]

    async def read(self, tx: Transaction) -> dict[str, int]:
        """What everybody has taken, by scope."""
        return dict(await tx.fetch_each(counters.TAKEN, self.keys)) if self.keys else {}


class Limits:
    """One process' limits.

    Args:
        books: Where permits are counted.
        now_us: The present, by the database's clock.
        limits_of: A team's limits as they are now.
        in_flight_max: The cap of this process; None for none.
    """

    def __init__(
        self,
        books: Books,
        now_us: Callable[[], int],
        limits_of: Callable[[str], TeamLimits],
        in_flight_max: Callable[[], int | None],
    ) -> None:
        self._now_us = now_us
        self._limits_of = limits_of
        self._limiter = Limiter(books, now_us, limits_of)
        self._in_flight = InFlight(lambda team: limits_of(team).in_flight_max, in_flight_max)
        self.close = self._limiter.close

    async def run(self, call: Call, inputs: int, attempts: Callable[[], Awaitable[T]]) -> T:
        """Runs a call's attempts within the limits of its team.

        Args:
            call: Whose permits come back if nothing of it was sent.
            inputs: Of an Embed; 0 for other calls.
            attempts: What to run.

        Raises:
            Refused: A limit is met.
            BooksUnavailable: The database does not answer.
        """
        team = call.caller.team
        permit = await self._limiter.admit(team, inputs, call.caller.limits)
        try:
            return await self._in_flight.run(team, attempts)
        finally:
            if not call.sent:
                permit.give_back()

    def tightest(self, caller: Principal) -> LimitStanding | None:
        """The window with the smallest share left, as far as it is known here; None where nothing is limited."""
        now_us, tightest = self._now_us(), None
        for stock in self._stocks_of(caller.team, caller.limits):
            stock.roll(now_us)
            if tightest is None or stock.remaining * tightest.most < tightest.remaining * stock.most:
                tightest = stock
        if tightest is None:
            return None
        return _standing(tightest, tightest.remaining)

    def ask(self, teams: Sequence[str], own: OwnLimits | None = None) -> Taken:
        """What to read of the counters, to tell how teams stand, and an access key of theirs if *own* limits it."""
        now_us = self._now_us()
        stocks = [stock for team in teams for stock in self._stocks_of(team, own)]
        for stock in stocks:
            stock.roll(now_us)
        keys = sorted((stock.limit.scope, stock.window.start_us) for stock in stocks)
        return Taken(keys, {stock.limit.scope: stock.held for stock in stocks})

    def standings(
        self, team: str, asked: Taken, taken: dict[str, int], own: OwnLimits | None = None
    ) -> list[LimitStanding]:
        """How a team stands, and then its access key: never with more left than there is.

        Args:
            team: One of those asked about.
            asked: As `ask` gave it.
            taken: As it read.
            own: As it was asked about.
        """

        def told(stock: Stock) -> LimitStanding:
            scope, most = stock.limit.scope, stock.most
            held = min(stock.held, asked.held.get(scope, 0))  # a chunk that came meanwhile is in neither
            return _standing(stock, min(most, max(0, most - taken.get(scope, 0)) + held))

        stocks = self._limiter.stocks_of(team)
        standings = [told(stock) for stock in stocks.stocks]
        cap = self._limits_of(team).in_flight_max
        if cap is not None:
            remaining = max(0, cap - self._in_flight.of(team))
            standings.append(LimitStanding(f"team:{team}", IN_FLIGHT, cap, remaining, 0))
        return standings if own is None else [*standings, *map(told, stocks.of_key(own))]

    def _stocks_of(self, team: str, own: OwnLimits | None) -> list[Stock]:
        stocks = self._limiter.stocks_of(team)
        return stocks.stocks if own is None else [*stocks.stocks, *stocks.of_key(own)]


def _standing(stock: Stock, remaining: int) -> LimitStanding:
    return LimitStanding(stock.limit.holder, stock.limit.name, stock.most, remaining, stock.window.end_us)

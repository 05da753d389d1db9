"""Admits calls within their team's limits, or refuses them and says when to come back.

In the common case that is a few comparisons: permits are taken from the database in chunks, ahead of need, and that a
window is spent is remembered.
"""

from collections.abc import Callable

from service.books.books import Books
from service.identity.principal import OwnLimits
from service.limits import refusals
from service.limits.counters import PERMITS_SHARE
from service.limits.decision import Asked, decide, last_to_reset
from service.limits.limit import TeamLimits
from service.limits.permits import FREE, Permit, TeamStocks
from service.limits.refills import Refills


class Limiter:
    """Hands out permits.

    Args:
        books: Where they are counted.
        now_us: The present, by the database's clock.
        limits_of: A team's limits as they are now, whatever they were when the call began.
    """

    def __init__(self, books: Books, now_us: Callable[[], int], limits_of: Callable[[str], TeamLimits]) -> None:
        self._now_us = now_us
        self._limits_of = limits_of
        self._refills = Refills(books)
        self._teams: dict[str, TeamStocks] = {}

    async def admit(self, team: str, inputs: int = 0, own: OwnLimits | None = None) -> Permit:
        """Takes a call's permits of all its limits at once, or none.

        Args:
            team: Who calls.
            inputs: Of an Embed; 0 for other calls.
            own: What limits its access key.

        Raises:
            Refused: A limit is met, or the request is larger than it.
            BooksUnavailable: More had to be taken from the database, which does not answer.
        """
        stocks = self.stocks_of(team)
        asked = stocks.asked(inputs, own)
        if not asked:
            return FREE
        for stock, amount in asked:
            if amount > stock.most:
                raise refusals.exceeds_rate(stock.limit, amount)
        while True:
            decision = decide(asked, self._now_us())
            if decision.spent:
                come_back_us = await stocks.promises.come_back_us(asked, decision.spent)
                last = last_to_reset(decision.spent)
                raise refusals.rate_limited(last.limit, last.window, come_back_us - self._now_us())
            if not decision.lacking:
                self._prefetch(asked)
                return Permit(asked)
            await self._refills.more(asked, decision.lacking)

    def stocks_of(self, team: str) -> TeamStocks:
        """What is held for a team, under the limits in force."""
        limits = self._limits_of(team)
        stocks = self._teams.get(team)
        if stocks is None:
            stocks = self._teams[team] = TeamStocks(limits, self._refills, self._now_us)
        elif stocks.limits is not limits:
            stocks.take_over(limits)
        return stocks

    async def close(self) -> None:
        """Asks for no more."""
        await self._refills.close()

    def _prefetch(self, asked: list[Asked]) -> None:
        for stock, _ in asked:
            if 0 < stock.chunk >= stock.held * 2 and stock.left >= PERMITS_SHARE and not stock.fetching:
                self._refills.prefetch(stock)

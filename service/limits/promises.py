"""When a refused caller is to come back: in the first window to come that has not promised as many as it allows.

Windows promise a sixteenth less than they allow, for what other replicas hold and do not need. Promises are counted as
permits are. A promise is advice: nobody is turned away for it.
"""

from collections.abc import Callable, Sequence

from service.limits.counters import PERMITS_SHARE
from service.limits.decision import Asked, Promises, Stock, decide
from service.limits.limit import Limit
from service.limits.refills import Refills
from service.limits.windows import Window, window_at

WINDOWS_AHEAD = 30


class PromiseBook:
    """The promises that this process holds, of each window to come of one team's limits.

    Args:
        refills: Fills them.
        now_us: The present, by the database's clock.
    """

    def __init__(self, refills: Refills, now_us: Callable[[], int]) -> None:
        self._refills = refills
        self._now_us = now_us
        self._stocks: dict[tuple[Limit, int], Promises] = {}
        self._begun_us = 0

    async def come_back_us(self, asked: Sequence[Asked], spent: Sequence[Asked]) -> int:
        """When a call that is refused now will find room in all its limits; µs since the epoch.

        Args:
            asked: All of its limits.
            spent: Those of them that refuse it.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        now_us = self._now_us()
        self._forget_before(now_us)
        days = [each for each in asked if each[0].limit.zone is not None]
        minutes = [each for each in asked if each[0].limit.zone is None]
        from_us = now_us
        over = [day for day in days if day in spent or self._is_promised_away(*day, minutes)]
        if over:
            from_us = await self._first(days, max(stock.window.end_us for stock, _ in over))
        if minutes:
            from_us = max(from_us, await self._first(minutes, max(from_us, window_at(None, now_us).end_us)))
        return from_us

    async def _first(self, asked: Sequence[Asked], from_us: int) -> int:
        """When the first window from that of *from_us* on begins that has room; if none has, that of *from_us*."""
        zone = asked[0][0].limit.zone
        first = window = window_at(zone, from_us)
        for _ in range(WINDOWS_AHEAD):
            if await self._promised([(self._stock(stock.limit, window), amount) for stock, amount in asked]):
                return window.start_us
            window = window_at(zone, window.end_us)
        return first.start_us

    async def _promised(self, asked: Sequence[Asked]) -> bool:
        while True:
            decision = decide(asked, 0)
            if decision.spent:
                return False
            if not decision.lacking:
                return True
            await self._refills.more(decision.lacking)

    def _is_promised_away(self, day: Stock, amount: int, minutes: Sequence[Asked]) -> bool:
        """What is left of a day is promised to those who come back in its minutes."""
        holder, end_us = day.limit.holder, day.window.end_us
        now_us = self._now_us()
        for stock, _ in minutes:
            if stock.limit.holder == holder and not stock.limit.of_inputs:
                promised = sum(
                    other.most - other.remaining
                    for (limit, start_us), other in self._stocks.items()
                    if limit == stock.limit and now_us < start_us < end_us
                )
                return day.remaining < promised + amount
        return False

    def _stock(self, limit: Limit, window: Window) -> Promises:
        key = limit, window.start_us
        stock = self._stocks.get(key)
        if stock is None:
            stock = self._stocks[key] = Promises(limit, window, limit.most - limit.most // PERMITS_SHARE)
        return stock

    def _forget_before(self, now_us: int) -> None:
        """Drops what has begun."""
        minute = window_at(None, now_us)
        if minute.start_us != self._begun_us:
            self._begun_us = minute.start_us
            self._stocks = {key: stock for key, stock in self._stocks.items() if stock.window.end_us > now_us}

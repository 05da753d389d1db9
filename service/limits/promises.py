"""When a refused caller is to come back: in the first window to come that has not promised as many as it allows.

Windows promise a sixteenth less than they allow, for what other replicas hold and do not need. Promises are counted as
permits are. A promise is advice: nobody is turned away for it.
"""

import asyncio
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
        self._searched: dict[tuple[object, ...], tuple[int, Window]] = {}
        """Where a search from a window on ended: what is before has no room left, and will have none."""
        self._begun_us = 0
        self._turn = asyncio.Lock()
        self._waiting = 0
        """Who wants a promise: one after the other searches, and asks for as many as there are."""

    async def come_back_us(self, asked: Sequence[Asked], spent: Sequence[Asked]) -> int:
        """When a call that is refused now will find room in all its limits; µs since the epoch.

        Args:
            asked: All of its limits.
            spent: Those of them that refuse it.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        self._waiting += 1
        try:
            async with self._turn:
                return await self._found_us(asked, spent, self._now_us())
        finally:
            self._waiting -= 1

    async def _found_us(self, asked: Sequence[Asked], spent: Sequence[Asked], now_us: int) -> int:
        self._forget_before(now_us)
        days = [each for each in asked if each[0].limit.zone is not None]
        minutes = [each for each in asked if each[0].limit.zone is None]
        over = [day for day in days if day in spent]
        from_us: int | None = None
        if not over:
            from_us = await self._first(minutes, window_at(None, now_us).end_us, days)
        if from_us is None:
            end_us = max(stock.window.end_us for stock, _ in over or days)
            from_us = await self._first(days, end_us) or end_us
            if minutes:
                from_us = max(from_us, await self._first(minutes, from_us) or from_us)
        return from_us

    async def _first(self, asked: Sequence[Asked], from_us: int, days: Sequence[Asked] = ()) -> int | None:
        """When the first window begins, from that of *from_us* on, that has room; if none has, when that one begins.

        None if one of *days*, which are still those of *from_us*, has no room left for who comes back in it.
        """
        zone = asked[0][0].limit.zone
        first = window_at(zone, from_us)
        search = first.start_us, *((stock.limit.scope, stock.most, amount) for stock, amount in asked)
        ahead, window = self._searched.get(search, (0, first))
        while ahead < WINDOWS_AHEAD:
            stocks = [self._asked(stock.limit, window, amount) for stock, amount in asked]
            if all(stock.remaining >= amount for stock, amount in stocks):
                if any(window.start_us < day.window.end_us and self._is_promised_away(day, n) for day, n in days):
                    return None
                decision = decide(stocks, window.start_us)
                if not decision.lacking:
                    return window.start_us
                await self._refills.more(stocks, decision.lacking, self._waiting)
            else:
                ahead, window = ahead + 1, window_at(zone, window.end_us)
                self._searched[search] = ahead, window
        return first.start_us

    def _is_promised_away(self, day: Stock, amount: int) -> bool:
        """What is left of a day is promised to those who come back in its minutes."""
        holder, now_us = day.limit.holder, self._now_us()
        promised = sum(
            stock.most - stock.remaining
            for (limit, start_us), stock in self._stocks.items()
            if limit.holder == holder and not limit.of_inputs and limit.zone is None
            if now_us < start_us < day.window.end_us
        )
        return day.remaining < promised + amount

    def _asked(self, limit: Limit, window: Window, amount: int) -> Asked:
        key = limit, window.start_us
        stock = self._stocks.get(key)
        if stock is None:
            stock = self._stocks[key] = Promises(limit, window, limit.most - limit.most // PERMITS_SHARE)
        return stock, min(amount, stock.most)

    def _forget_before(self, now_us: int) -> None:
        """Drops what has begun."""
        minute = window_at(None, now_us)
        if minute.start_us != self._begun_us:
            self._begun_us = minute.start_us
            self._searched.clear()
            self._stocks = {key: stock for key, stock in self._stocks.items() if stock.window.end_us > now_us}

"""When a refused caller is to come back: in the first window to come that has not promised as many as it allows.

Windows promise a sixteenth less than they allow, for what other replicas hold and do not need. Promises are counted as
permits are. A promise is advice: nobody is turned away for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from service.limits import counters
from service.limits.counters import PERMITS_SHARE
from service.limits.decision import Asked, Promises, Stock, decide
from service.limits.limit import Limit
from service.limits.refills import Refills
from service.limits.windows import Window, window_at
from service.storage.database import Transaction

WINDOWS_AHEAD = 30
PROMISED = "promised_per_minute"
"""Counts the promises of a holder that no other minute counts, one by one: what is left of its day is promised once."""


class _Day(NamedTuple):
    """A day that has begun."""

    stock: Stock
    window: Window
    amount: int
    minute: Limit
    """What counts the promises of its minutes."""


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
        self._promised: dict[Limit, int] = {}
        """By the minute that counts them, what all have promised of the rest of its holder's day, as it was read."""
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
        minutes = _minutes_of(asked, days)
        over = [day for day in days if day in spent]
        from_us: int | None = None
        if not over:
            from_us = await self._first(minutes, window_at(None, now_us).end_us, _present(days, minutes))
        if from_us is None:
            end_us = max(stock.window.end_us for stock, _ in over or days)
            from_us = await self._first(days, end_us) or end_us
            if minutes:
                from_us = max(from_us, await self._first(minutes, from_us) or from_us)
        return from_us

    async def _first(self, asked: Sequence[Asked], from_us: int, days: Sequence[_Day] = ()) -> int | None:
        """When the first window begins, from that of *from_us* on, that has room; if none has, when that one begins.

        None if one of *days*, which are still those of *from_us*, has no room left for who comes back in it.
        """
        zone = asked[0][0].limit.zone
        first = window_at(zone, from_us)
        search = first.start_us, *((stock.limit.scope, stock.most, amount) for stock, amount in asked)
        ahead, window = self._searched.get(search, (0, first))
        while ahead < WINDOWS_AHEAD:
            stocks = [self._asked(stock.limit, window, amount) for stock, amount in asked]
            lacking = [each for each in stocks if each[0].held < each[1]]
            if any(stock.remaining < amount for stock, amount in lacking):
                ahead, window = ahead + 1, window_at(zone, window.end_us)
                self._searched[search] = ahead, window
            elif lacking:
                await self._refills.more(stocks, lacking, self._waiting)
                self._promised.clear()
            elif await self._have_room([day for day in days if window.start_us < day.window.end_us]):
                decide(stocks, window.start_us)
                return window.start_us
            else:
                return None
        return first.start_us

    async def _have_room(self, days: Sequence[_Day]) -> bool:
        """Whether one more may be told to come back on days that have begun, be it to another replica."""
        now_us = self._now_us()
        if not all(day.minute in self._promised for day in days):
            counts = await self._refills.books.read(_reading(days, now_us))
            for day, (taken, promised) in zip(days, counts, strict=True):
                day.stock.learns(day.window, taken)
                self._promised[day.minute] = promised
        return all(day.stock.left >= self._told(day, now_us) + day.amount for day in days)

    def _told(self, day: _Day, now_us: int) -> int:
        """How many were told to come back on a day and have not yet: all that is promised but what is held here."""
        held = (
            stock.held
            for (limit, start_us), stock in self._stocks.items()
            if limit == day.minute and now_us < start_us < day.window.end_us
        )
        return self._promised[day.minute] - sum(held)

    def _asked(self, limit: Limit, window: Window, amount: int) -> Asked:
        key = limit, window.start_us
        stock = self._stocks.get(key)
        if stock is None:
            most = limit.most - limit.most // PERMITS_SHARE
            stock = self._stocks[key] = Promises(limit, window, most, is_ahead=limit.name != PROMISED)
        return stock, min(amount, stock.most)

    def _forget_before(self, now_us: int) -> None:
        """Drops what has begun."""
        minute = window_at(None, now_us)
        if minute.start_us != self._begun_us:
            self._begun_us = minute.start_us
            self._searched.clear()
            self._promised.clear()
            self._stocks = {key: stock for key, stock in self._stocks.items() if stock.window.end_us > now_us}


def _minutes_of(asked: Sequence[Asked], days: Sequence[Asked]) -> list[Asked]:
    """What a promise of a minute is counted in; of each holder at least one that counts calls."""
    minutes = [each for each in asked if each[0].limit.zone is None]
    holders = {stock.limit.holder for stock, _ in minutes if not stock.limit.of_inputs}
    uncounted = [stock for stock, _ in days if minutes and stock.limit.holder not in holders]
    limits = [Limit(stock.limit.holder, PROMISED, stock.most) for stock in uncounted]
    return [*minutes, *((Stock(limit, days[0][0].window, limit.most), 1) for limit in limits)]


def _present(days: Sequence[Asked], minutes: Sequence[Asked]) -> list[_Day]:
    counted = {stock.limit.holder: stock.limit for stock, _ in minutes if not stock.limit.of_inputs}
    return [_Day(stock, stock.window, amount, counted[stock.limit.holder]) for stock, amount in days]


def _reading(days: Sequence[_Day], now_us: int) -> Callable[[Transaction], Awaitable[list[tuple[int, int]]]]:
    async def read(tx: Transaction) -> list[tuple[int, int]]:
        """What is taken of each, and promised of the rest of it."""
        return [
            (
                await counters.taken(tx, day.stock.limit.scope, day.window.start_us),
                await counters.promised(tx, day.minute.scope, now_us, day.window.end_us),
            )
            for day in days
        ]

    return read

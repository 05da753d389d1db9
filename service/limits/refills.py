"""Asks the database for chunks: one transaction at a time, with all that was asked for meanwhile."""

import asyncio
from collections.abc import Sequence

from service.books.books import Books
from service.books.errors import BooksError, BooksUnavailable
from service.limits.counters import PERMITS_SHARE, PROMISES_SHARE, Wanted, take
from service.limits.decision import Asked, Stock


class _Demand:
    """What is wanted for one stock in the next transaction."""

    __slots__ = ("least", "most", "total")

    def __init__(self) -> None:
        self.least = 0
        self.total = 0
        self.most = 0
        """What its other limits let through of those who wait."""

    def add(self, amount: int, callers: int, most: int) -> None:
        self.least = min(self.least or amount, amount)
        self.total += amount * callers
        self.most = max(self.most, most)


class Refills:
    """Fills stocks; between two of its transactions one of anybody else's gets its turn.

    Args:
        books: Where the counters are.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self._demands: dict[Stock, _Demand] = {}
        self._next: asyncio.Future[BooksError | None] | None = None
        self._under_way: tuple[frozenset[Stock], asyncio.Future[BooksError | None]] | None = None
        self._running: asyncio.Task[None] | None = None

    async def more(self, asked: Sequence[Asked], lacking: Sequence[Asked], callers: int = 1) -> None:
        """Waits for a chunk, which may turn out too small, or be somebody else's before.

        It is one of the scarcest limit, so that nobody holds of the others what cannot be used for want of this one.

        Args:
            asked: All limits of a call.
            lacking: Those of them that have too little here.
            callers: How many there are that count for as much.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        stock, amount = min(lacking, key=_calls_of)
        if self._under_way is not None and stock in self._under_way[0]:
            waits = self._under_way[1]  # it may be enough
        else:
            self._demands.setdefault(stock, _Demand()).add(amount, callers, min(map(_calls_of, asked)) * amount)
            waits = self._start()
        error = await asyncio.shield(waits)  # others wait for it as well
        if error is not None:
            raise BooksUnavailable(str(error))

    def prefetch(self, stock: Stock) -> None:
        """Asks for a chunk that nobody waits for yet."""
        stock.fetching = True
        self._demands.setdefault(stock, _Demand())
        self._start()

    async def close(self) -> None:
        """Gives up what is under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def _start(self) -> "asyncio.Future[BooksError | None]":
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_future()
        if self._running is None:
            self._running = loop.create_task(self._run())
        return self._next

    async def _run(self) -> None:
        try:
            while self._next is not None:
                demands, self._demands = self._demands, {}
                done, self._next = self._next, None
                self._under_way = frozenset(demands), done
                error: BooksError | None = BooksUnavailable("the service stops")
                try:
                    await self._round(demands)
                    error = None
                except BooksError as unavailable:
                    error = unavailable
                    for stock in demands:
                        stock.fetching = False
                finally:
                    self._under_way = None
                    done.set_result(error)
        finally:
            self._running = None
            if self._next is not None:
                self._next.set_result(BooksUnavailable("the service stops"))
                self._next = None

    async def _round(self, demands: dict[Stock, _Demand]) -> None:
        # All replicas lock rows in the same order.
        stocks = sorted(demands, key=lambda stock: (stock.limit.scope, stock.window.start_us))
        wanted = [_wanted(stock, demands[stock]) for stock in stocks]
        chunks = await self.books.run(take(wanted))
        for stock, one, chunk in zip(stocks, wanted, chunks, strict=True):
            share = PROMISES_SHARE if one.promises else PERMITS_SHARE
            stock.granted(one.window, chunk.permits, chunk.taken, share)


def _calls_of(asked: Asked) -> int:
    """How many calls a limit may still let through, as far as is known."""
    stock, amount = asked
    return stock.remaining // amount


def _wanted(stock: Stock, demand: _Demand) -> Wanted:
    least = max(0, demand.least - stock.held)
    total = max(least, min(demand.total, demand.most) - stock.held)
    held = stock.held if stock.is_ahead else stock.most
    return Wanted(stock.limit.scope, stock.window, stock.most, least, total, held, stock.promises)

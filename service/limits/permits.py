"""What a call has taken, and the stocks of one team and of its access keys that it takes from."""

from collections.abc import Callable, Sequence

from service.identity.principal import OwnLimits
from service.limits.decision import Asked, Stock
from service.limits.limit import Limit, TeamLimits
from service.limits.promises import PromiseBook
from service.limits.refills import Refills
from service.limits.tiers import limits_of_key
from service.limits.windows import Window, window_at


class Permit:
    """A call's permits, of all its limits."""

    __slots__ = ("_taken",)

    def __init__(self, taken: Sequence[Asked]) -> None:
        self._taken: Sequence[tuple[Stock, Window, int]] = [(stock, stock.window, amount) for stock, amount in taken]

    def give_back(self) -> None:
        """Gives them back, once; those of a window that is over are void."""
        taken, self._taken = self._taken, ()
        for stock, window, amount in taken:
            if stock.window == window:
                stock.held += amount


FREE = Permit(())
"""Of a call that nothing limits."""


class TeamStocks:
    """What this process holds of one team's limits, and of those of its access keys.

    Args:
        limits: The team's.
        refills: Fills the stocks.
        now_us: The present, by the database's clock.
    """

    def __init__(self, limits: TeamLimits, refills: Refills, now_us: Callable[[], int]) -> None:
        self.promises = PromiseBook(refills, now_us)
        self.stocks: list[Stock] = []
        """The team's own."""
        self._now_us = now_us
        self._of_keys: dict[OwnLimits, list[Stock]] = {}
        self.take_over(limits)

    def take_over(self, limits: TeamLimits) -> None:
        """Comes under other limits; what is held of one that allows no less than before is kept."""
        self.limits = limits
        self.stocks = self._held(limits.rates, self.stocks)
        self._of_requests = [(stock, 1) for stock in self.stocks if not stock.limit.of_inputs]
        self._of_inputs = [stock for stock in self.stocks if stock.limit.of_inputs]
        self._of_keys = {own: self._held(limits_of_key(own, limits.zone), had) for own, had in self._of_keys.items()}

    def of_key(self, own: OwnLimits) -> list[Stock]:
        """What is held of the limits of an access key."""
        stocks = self._of_keys.get(own)
        if stocks is None:
            stocks = self._of_keys[own] = self._held(limits_of_key(own, self.limits.zone), ())
        return stocks

    def asked(self, inputs: int, own: OwnLimits | None) -> list[Asked]:
        """What a call counts for in each limit.

        Args:
            inputs: Those of an Embed, else 0.
            own: What limits its access key.
        """
        of_inputs = self._of_inputs if inputs else ()
        if not of_inputs and own is None:
            return self._of_requests
        of_key = () if own is None else self.of_key(own)
        return [*self._of_requests, *((stock, inputs) for stock in of_inputs), *((stock, 1) for stock in of_key)]

    def _held(self, limits: Sequence[Limit], had: Sequence[Stock]) -> list[Stock]:
        known = {(stock.limit.scope, stock.limit.zone): stock for stock in had}
        return [self._stock(limit, known.get((limit.scope, limit.zone))) for limit in limits]

    def _stock(self, limit: Limit, before: Stock | None) -> Stock:
        """What is held of a limit: of a lowered one nothing, for others may have taken as much as it allows."""
        if before is None or limit.most < before.most:
            return Stock(limit, window_at(limit.zone, self._now_us()), limit.most)
        if limit.most > before.most:
            before.raise_to(limit)
        return before

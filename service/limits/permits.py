"""What a call has taken, and the stocks of one team that it takes from."""

from collections.abc import Callable, Sequence

from service.limits.decision import Asked, Stock
from service.limits.limit import Limit, TeamLimits
from service.limits.promises import PromiseBook
from service.limits.refills import Refills
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
    """What this process holds of one team's limits.

    Args:
        limits: The team's.
        refills: Fills the stocks.
        now_us: The present, by the database's clock.
        before: Those under the limits before: what a limit that is still the same has is kept.
    """

    def __init__(
        self, limits: TeamLimits, refills: Refills, now_us: Callable[[], int], before: "TeamStocks | None" = None
    ) -> None:
        self.limits = limits
        self.promises: PromiseBook = before.promises if before else PromiseBook(refills, now_us)
        known = {stock.limit: stock for stock in before.stocks} if before else {}
        self.stocks: list[Stock] = [known.get(limit) or _empty(limit, now_us()) for limit in limits.rates]
        self._of_requests = [(stock, 1) for stock in self.stocks if not stock.limit.of_inputs]
        self._of_inputs = [stock for stock in self.stocks if stock.limit.of_inputs]

    def asked(self, inputs: int) -> list[Asked]:
        """What a call counts for in each limit; *inputs* are those of an Embed, else 0."""
        if inputs and self._of_inputs:
            return [*self._of_requests, *((stock, inputs) for stock in self._of_inputs)]
        return self._of_requests


def _empty(limit: Limit, now_us: int) -> Stock:
    return Stock(limit, window_at(limit.zone, now_us), limit.most)

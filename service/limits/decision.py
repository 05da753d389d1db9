"""Whether a call is admitted: what is known here of each of its limits, against what it counts for. Pure.

A call takes its permits of all windows or none. What is not here can be asked for, unless the window is known to have
too little left: that never changes, as what was taken of a window is never given back to it.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from service.limits.limit import Limit
from service.limits.windows import Window, window_at


class Stock:
    """The permits of one limit that this process holds, and what it knows of the rest of their window.

    Args:
        limit: Which one.
        window: When they count.
        most: How many there are in a window.
    """

    __slots__ = ("chunk", "fetching", "held", "left", "limit", "most", "window")

    promises: ClassVar[bool] = False
    """They are of what may be promised of the window, and not of what may be taken."""
    is_ahead: bool = True
    """They are taken ahead of need, and not only as many as somebody waits for."""

    def __init__(self, limit: Limit, window: Window, most: int) -> None:
        self.limit = limit
        self.most = most
        self._begin(window)

    def _begin(self, window: Window) -> None:
        self.window = window
        self.held = 0
        """Taken from the window and not handed out."""
        self.left = self.most
        """The most that nobody has taken yet, as far as is known: never less than there are."""
        self.chunk = 0
        """What was held after the last chunk, if that was a share of what was left and not what somebody waited for."""
        self.fetching = False
        """More was asked for before anybody waits for it."""

    def roll(self, now_us: int) -> None:
        """Comes to the window of an instant: what is held of another one is void."""
        window = self.window
        if not window.start_us <= now_us < window.end_us:
            self._begin(window_at(self.limit.zone, now_us))

    def raise_to(self, limit: Limit) -> None:
        """Comes under a limit of the same windows that allows more; what is held stays, for it is counted in them."""
        self.left += limit.most - self.most
        self.limit, self.most = limit, limit.most

    def granted(self, window: Window, permits: int, taken: int, share: int) -> None:
        """Takes in a chunk.

        Args:
            window: Of which it is.
            permits: Its size, which may be 0.
            taken: What everybody has taken of the window, this chunk included.
            share: The part of what was left that is taken ahead.
        """
        if window != self.window:
            return
        self.fetching = False
        self.held += permits
        self.learns(window, taken)
        self.chunk = self.held if permits * share <= self.left + permits else 0

    def learns(self, window: Window, taken: int) -> None:
        """Takes in what everybody has taken of a window, if it still is the present one."""
        if window == self.window:
            self.left = min(self.left, max(0, self.most - taken))

    @property
    def remaining(self) -> int:
        """How many there may still be in the window, as far as is known."""
        return self.held + self.left


class Promises(Stock):
    """Promises of one window to come.

    Args:
        limit: Which one.
        window: When they count.
        most: How many there are in the window.
        is_ahead: As `Stock.is_ahead`.
    """

    __slots__ = ("is_ahead",)

    promises = True

    def __init__(self, limit: Limit, window: Window, most: int, *, is_ahead: bool) -> None:
        super().__init__(limit, window, most)
        self.is_ahead = is_ahead

    def roll(self, _: int) -> None:
        """Stays: they are of this window."""


Asked: TypeAlias = tuple[Stock, int]
"""What a call counts for in one limit."""


class Decision(NamedTuple):
    """Admitted if both are empty."""

    spent: tuple[Asked, ...] = ()
    """These refuse the call, whatever is asked for."""
    lacking: tuple[Asked, ...] = ()
    """These have too little here, and perhaps enough in the database."""


ADMITTED = Decision()


def decide(asked: Sequence[Asked], now_us: int) -> Decision:
    """Decides on a call and, if it is admitted, takes its permits.

    Args:
        asked: All of its limits with what it counts for.
        now_us: The present, by the database's clock.
    """
    admitted = True
    for stock, amount in asked:
        stock.roll(now_us)
        admitted = admitted and stock.held >= amount
    if admitted:
        for stock, amount in asked:
            stock.held -= amount
        return ADMITTED
    lacking = tuple(each for each in asked if each[0].held < each[1])
    return Decision(tuple(each for each in lacking if each[0].remaining < each[1]), lacking)


def last_to_reset(spent: Sequence[Asked]) -> Stock:
    """The one of the limits that refuse a call which does so for longest."""
    return max((stock for stock, _ in spent), key=lambda stock: stock.window.end_us)

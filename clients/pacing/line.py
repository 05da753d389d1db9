"""The fair queue of one limit: a line for each team, served by start-time fair queueing (Goyal, Vin and Cheng, 1996).

Each team has a tag, which grows by what it has had, and the least is next: so over time each that waits has the same
amount, be its requests small or large. Who had less than the others for a while may catch up, but only so much.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from clients.pacing.cell_rate import Lease, Stretch

if TYPE_CHECKING:
    from clients.pacing.pace import Pace


class Beside(NamedTuple):
    """What a request takes of a further limit, for which it does not stand in line."""

    pace: "Pace"
    amount: int
    lease: Lease
    """Its own."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for its turn."""

    team: str
    amount: int
    latest_us: int
    """A later turn is of no use to it."""
    turn: "asyncio.Future[Stretch | None]"
    """What it has taken of the limit; None if it is not paced any more."""
    beside: Sequence[Beside] = ()


@dataclass(slots=True)
class _TeamLine:
    waiting: "OrderedDict[Waiting, None]" = field(default_factory=OrderedDict)
    amount: int = 0
    """Of all that wait."""

    @property
    def first(self) -> Waiting:
        """Who came first; nobody's line is empty."""
        return next(iter(self.waiting))


class Line:
    """Who waits, and whose turn is next.

    Attributes:
        credit: How much a team may catch up that had less than the others.
        amount: Of all that wait.
    """

    def __init__(self) -> None:
        self.credit = 0
        self.amount = 0
        self._teams: dict[str, _TeamLine] = {}
        self._had: dict[str, int] = {}
        """The tags, of those also who do not wait now."""
        self._now = 0
        """The tag of who was served last."""

    def __len__(self) -> int:
        return sum(len(line.waiting) for line in self._teams.values())

    def of(self, team: str) -> list[Waiting]:
        """A team's line."""
        line = self._teams.get(team)
        return [] if line is None else list(line.waiting)

    def add(self, request: Waiting) -> None:
        """Puts a request at the end of its team's line."""
        line = self._teams.get(request.team)
        if line is None:
            line = self._teams[request.team] = _TeamLine()
            self._had[request.team] = self._tag(request.team)
        line.waiting[request] = None
        line.amount += request.amount
        self.amount += request.amount

    def discard(self, request: Waiting) -> None:
        """Takes a request out, wherever it stands; if it is not in, nothing happens."""
        line = self._teams.get(request.team)
        if line is None or request not in line.waiting:
            return
        del line.waiting[request]
        line.amount -= request.amount
        self.amount -= request.amount
        if not line.waiting:
            del self._teams[request.team]

    def head(self) -> Waiting | None:
        """Whose turn is next."""
        if not self._teams:
            return None
        return self._teams[min(self._teams, key=self._had.__getitem__)].first

    def pop(self, request: Waiting) -> None:
        """Takes out the head, whose turn it was."""
        self._now = max(self._now, self._had[request.team])
        self._had[request.team] += request.amount
        self.discard(request)

    def clear(self) -> list[Waiting]:
        """Takes out all."""
        left = [request for line in self._teams.values() for request in line.waiting]
        self._teams.clear()
        self.amount = 0
        return left

    def amount_before(self, team: str, amount: int) -> int:
        """How much has its turn before a request that joins a team's line, and with it, if nobody else comes."""
        own = self._teams.get(team)
        waiting = 0 if own is None else own.amount
        start = self._tag(team) + waiting
        others = 0
        for other, line in self._teams.items():
            if other != team and self._had[other] <= start:
                first = line.first.amount
                others += min(line.amount, -(-(start - self._had[other] + 1) // first) * first)
        return waiting + amount + others

    def _tag(self, team: str) -> int:
        return max(self._had.get(team, 0), self._now - self.credit)

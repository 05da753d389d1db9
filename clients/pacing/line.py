"""The fair queue of one limit: a line for each team, served by deficit round robin (Shreedhar and Varghese, 1996).

Each round a team may go on with as much as the smallest of the first requests, so that over time each has the same
amount, be its requests small or large, and one that comes anew does not wait for long.
"""

import asyncio
from collections import OrderedDict, deque
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
    deficit: int = 0
    """What the team may still go on with in this round."""

    @property
    def first(self) -> Waiting:
        """Who came first; nobody's line is empty."""
        return next(iter(self.waiting))


class Line:
    """Who waits, and whose turn is next."""

    def __init__(self) -> None:
        self._teams: dict[str, _TeamLine] = {}
        self._round: deque[str] = deque()
        self.amount = 0
        """Of all that wait."""

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
            self._round.append(request.team)
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
            self._round.remove(request.team)
            del self._teams[request.team]

    def head(self) -> Waiting | None:
        """Whose turn is next."""
        if not self._round:
            return None
        quantum = min(line.first.amount for line in self._teams.values())
        while (first := (line := self._teams[self._round[0]]).first).amount > line.deficit:
            self._round.rotate(-1)
            self._teams[self._round[0]].deficit += quantum
        return first

    def pop(self, request: Waiting) -> None:
        """Takes out the head, whose turn it was."""
        self._teams[request.team].deficit -= request.amount
        self.discard(request)

    def clear(self) -> list[Waiting]:
        """Takes out all."""
        left = [request for line in self._teams.values() for request in line.waiting]
        self._teams.clear()
        self._round.clear()
        self.amount = 0
        return left

    def amount_before(self, team: str, amount: int) -> int:
        """How much has its turn, about, before a request that joins a team's line, and with it."""
        own = self._teams.get(team)
        with_it = amount if own is None else own.amount + amount
        return with_it + sum(min(line.amount, with_it) for other, line in self._teams.items() if other != team)

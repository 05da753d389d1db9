"""Gives each attempt its turn towards Cohere: at once, after a wait that fits its deadline, or not at all."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from clients.cohere_key import CohereKey
from clients.pacing.allowance import Allowance
from clients.pacing.cell_rate import MINUTE_US, Lease, Stretch
from clients.pacing.errors import RequestExceedsRate
from clients.pacing.line import Beside
from clients.pacing.load import Load
from clients.pacing.pace import Pace
from clients.pacing.row import PaceRow
from clients.pacing.supply import loop_us

REST_S_MAX = 60.0
"""Cohere's windows are minutes: a Retry-After of more is not believed."""


Turn: TypeAlias = tuple[tuple[Pace, Stretch], ...]
"""What an attempt has taken, of each of its limits; nothing of a team that is not paced."""


class Told(Protocol):
    """Is told of every wait."""

    def turn_awaited(self, team: str) -> None:
        """An attempt waits."""
        ...

    def turn_ended(self, team: str, seconds: float) -> None:
        """It has its turn, or has left."""
        ...


class Pacer:
    """The turns of all Cohere keys in this process.

    Args:
        row: Shared by all replicas.
        told: Is told of every wait.
        minute_us: How long the minute of Cohere's limits is; shorter in tests.
    """

    def __init__(self, row: PaceRow, told: Told, *, minute_us: int = MINUTE_US) -> None:
        self._row, self._told, self._minute_us = row, told, minute_us
        self._allowances: Mapping[str, Allowance] = {}
        self._paces: dict[tuple[str, str], Pace] = {}
        self._waiting: Counter[str] = Counter()

    def take_over(self, allowances: Mapping[str, Allowance]) -> None:
        """Paces by these from now on, also those who wait; teams that are not among them are not paced."""
        self._allowances = allowances
        for pace in self._paces.values():
            for team in list(pace.limits):
                if team in allowances:
                    pace.hold_to(team, allowances[team].limit_of(pace.limit_name))
                else:
                    pace.let_go(team)
        for pace in self._paces.values():  # all are changed now, and who waits may need of several
            pace.look_again()

    def waiting(self, team: str) -> int:
        """How many attempts of a team wait for their turn."""
        return self._waiting[team]

    async def turn(self, team: str, key: CohereKey, load: Load, latest_s: float) -> Turn:
        """Waits for the turn of an attempt, and returns it.

        Args:
            team: Who makes it.
            key: With what.
            load: What it counts for.
            latest_s: When its turn is of use at the latest, on the loop's clock.

        Raises:
            UpstreamBusy: Its turn comes later.
            RequestExceedsRate: It would never come.
            PaceLost: The shared row cannot be asked.
        """
        if team not in self._allowances:
            return ()
        if len(load) == 1:  # as nearly all have
            ((limit_name, amount),) = load
            pace = self._pace(team, key, limit_name)
            if amount <= pace.limit and (stretch := pace.use(amount)) is not None:
                return ((pace, stretch),)
        paces = [self._pace(team, key, limit_name) for limit_name, _ in load]
        for pace, (limit_name, amount) in zip(paces, load, strict=True):
            if amount > pace.limit:
                raise RequestExceedsRate(limit_name, pace.limit, amount)
        demands = [(pace, amount) for pace, (_, amount) in zip(paces, load, strict=True)]
        if all(pace.is_due(amount) for pace, amount in demands):
            return _taken((pace, pace.use(amount)) for pace, amount in demands)
        return await self._wait(team, demands, latest_s)

    def has_turn(self, team: str, key: CohereKey, load: Load) -> bool:
        """Tells whether an attempt would not have to wait."""
        return team not in self._allowances or all(
            self._pace(team, key, limit_name).is_due(amount) for limit_name, amount in load
        )

    def give_back(self, turn: Turn) -> None:
        """Takes back the turn of an attempt that was not made after all: others may have it."""
        for pace, stretch in turn:
            pace.give_back(stretch)

    def slow(self, team: str, key: CohereKey, load: Load, retry_after_s: float | None) -> None:
        """Cohere has answered an attempt with 429: its limits are used less from now on."""
        if team in self._allowances:
            rest_us = int(min(retry_after_s or 0.0, REST_S_MAX) * 1_000_000)
            for limit_name, _ in load:
                self._pace(team, key, limit_name).slow(rest_us)

    def close(self) -> None:
        """Ends what runs beside the calls; nobody waits any more."""
        for pace in self._paces.values():
            pace.close()

    async def _wait(self, team: str, demands: list[tuple[Pace, int]], latest_s: float) -> Turn:
        # In line for the limit that it takes most of; of the others it takes its part when it is first there.
        pace, amount = max(demands, key=lambda demand: demand[0].supply.rate.cost_of(demand[1]).cost_us)
        beside = [Beside(other, less, Lease()) for other, less in demands if other is not pace]
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self._waiting[team] += 1
        self._told.turn_awaited(team)
        try:
            latest_us = loop_us() + int((latest_s - began_s) * 1_000_000)
            return _taken([(pace, await pace.turn(team, amount, latest_us, beside))])
        finally:
            self._waiting[team] -= 1
            self._told.turn_ended(team, loop.time() - began_s)

    def _pace(self, team: str, key: CohereKey, limit_name: str) -> Pace:
        place = key.digest, limit_name
        pace = self._paces.get(place)
        if pace is None:
            pace = self._paces[place] = Pace(limit_name, " ".join(place), self._row, self._minute_us)
        if team not in pace.limits:
            self._leave_other_keys(team, key)
            pace.hold_to(team, self._allowances[team].limit_of(limit_name))
        return pace

    def _leave_other_keys(self, team: str, key: CohereKey) -> None:
        for (digest, _), pace in self._paces.items():
            if digest != key.digest and team in pace.limits:
                pace.leave(team)


def _taken(turn: Iterable[tuple[Pace, Stretch | None]]) -> Turn:
    return tuple((pace, stretch) for pace, stretch in turn if stretch is not None)

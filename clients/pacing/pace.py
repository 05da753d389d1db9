"""One of Cohere's limits for one Cohere key, in this process: whoever finds no turn in hand waits in line for one."""

import asyncio
import contextlib
from collections.abc import Sequence

from clients.pacing.cell_rate import CellRate, Stretch
from clients.pacing.errors import PacingError, RequestExceedsRate, UpstreamBusy
from clients.pacing.line import Beside, Line, Waiting
from clients.pacing.row import PaceRow
from clients.pacing.supply import Supply, loop_us

CREDIT_SHARE = 5
"""Of the burst so many parts one a team may catch up that used less of the limit than others for a while."""


class Pace:
    """The limit as this process sees it.

    Args:
        limit_name: As `Demand` names it.
        scope: Names the row.
        row: Shared by all replicas.
        minute_us: How long the limit's minute is.
    """

    def __init__(self, limit_name: str, scope: str, row: PaceRow, minute_us: int) -> None:
        self.limit_name = limit_name
        self.limits: dict[str, int] = {}
        """By the teams that use the key; the lowest holds."""
        self.supply = Supply(scope, row, CellRate(1, minute_us))
        self._line = Line()
        self._stirred = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @property
    def limit(self) -> int:
        """The most that a minute may hold."""
        return self.supply.rate.limit

    def hold_to(self, team: str, limit: int) -> None:
        """Takes over what a minute allows, by the config of a team that uses the key."""
        self.limits[team] = limit
        self._change_rate()

    def leave(self, team: str) -> None:
        """A team has another key: its limit counts no more; whoever waits gets its turn all the same."""
        del self.limits[team]
        self._change_rate()

    def let_go(self, team: str) -> None:
        """A team is paced no longer: its limit counts no more, and whoever waits goes on."""
        for request in self._line.of(team):
            self._line.discard(request)
            _tell(request, None)
        self.leave(team)

    def look_again(self) -> None:
        """Something has changed for whoever is first in line."""
        self._stirred.set()

    def is_due(self, amount: int) -> bool:
        """Tells whether a request may be sent at once."""
        return not self._line.amount and self.supply.due_us(amount) == 0

    def use(self, amount: int) -> Stretch | None:
        """Uses the turn of a request that may be sent at once; returns it, or None if it may not."""
        return None if self._line.amount else self.supply.use(amount)

    def give_back(self, stretch: Stretch) -> None:
        """Takes back the turn of a request that was not made after all."""
        self.supply.give_back(stretch)
        self._stirred.set()

    async def turn(self, team: str, amount: int, latest_us: int, beside: Sequence[Beside] = ()) -> Stretch | None:
        """Waits in line; returns what was taken, or None if the team is not paced any more.

        Args:
            team: Whose line.
            amount: What the request counts for.
            latest_us: When its turn is of use at the latest, on the loop's clock.
            beside: What it takes of further limits.

        Raises:
            UpstreamBusy: Its turn comes later.
            RequestExceedsRate: It would never come, for a limit was lowered.
            PaceLost: The row cannot be asked.
        """
        wait_us = self.supply.wait_us(self._line.amount_before(team, amount), amount)
        if loop_us() + wait_us > latest_us:
            raise UpstreamBusy(self.limit_name, self.limit, wait_us)
        loop = asyncio.get_running_loop()
        request = Waiting(team, amount, latest_us, loop.create_future(), beside)
        self._line.add(request)
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        timer = loop.call_at(latest_us / 1_000_000, self._refuse, request)
        try:
            return await request.turn
        finally:
            timer.cancel()
            self._line.discard(request)
            self._stirred.set()  # it may have been the first

    def slow(self, rest_us: int) -> None:
        """Has the limit used less, on all replicas, and not at all for *rest_us*."""
        self.supply.slow(rest_us)

    def close(self) -> None:
        """Ends what runs beside the calls."""
        self.supply.close()
        if self._serving is not None:
            self._serving.cancel()

    async def _serve(self) -> None:
        """Gives one turn after the other, while somebody waits."""
        supply = self.supply
        supply.begin()
        try:
            while (head := self._line.head()) is not None:
                if (never := self._exceeded_by(head)) is not None:
                    self._fail(head, never)
                    continue
                due_us = supply.due_us(head.amount)
                if due_us is None:
                    if not await supply.take(head.amount, self._line.amount, head.latest_us):
                        self._refuse(head)
                elif due_us:
                    await self._nap(due_us)
                elif await self._has_the_rest(head):
                    self._line.pop(head)
                    self._give(head)
        except Exception as error:
            for request in self._line.clear():
                if not request.turn.done():
                    request.turn.set_exception(error)
        finally:
            self._serving = None

    async def _has_the_rest(self, head: Waiting) -> bool:
        """Whether a request that is due has its turns of further limits too; if not, does what brings them nearer."""
        for pace, amount, lease in head.beside:
            supply = pace.supply
            now_us = supply.now_us()
            due_us = lease.due_us(supply.rate, amount, now_us)
            if due_us is None:
                if not await supply.take_into(lease, amount, amount, head.latest_us):
                    self._refuse(head)
                return False
            if due_us > now_us:
                await self._nap(due_us - now_us)
                return False
        return True

    def _give(self, request: Waiting) -> None:
        stretch = self.supply.use_for_line(request.amount, is_last=not self._line.amount)
        for pace, amount, lease in request.beside:
            lease.use(pace.supply.rate, amount, pace.supply.now_us())
        _tell(request, stretch)

    def _refuse(self, request: Waiting) -> None:
        wait_us = self.supply.wait_us(self._line.amount_before(request.team, 0), request.amount)
        wait_us = max(wait_us, request.latest_us - loop_us())
        self._fail(request, UpstreamBusy(self.limit_name, self.limit, wait_us))

    def _fail(self, request: Waiting, error: PacingError) -> None:
        if not request.turn.done():
            request.turn.set_exception(error)
        self._line.discard(request)

    def _exceeded_by(self, request: Waiting) -> RequestExceedsRate | None:
        """Limits may have been lowered since it came."""
        for pace, amount in ((self, request.amount), *((each.pace, each.amount) for each in request.beside)):
            if amount > pace.limit:
                return RequestExceedsRate(pace.limit_name, pace.limit, amount)
        return None

    def _change_rate(self) -> None:
        lowest = min(self.limits.values(), default=self.limit)
        if lowest != self.limit:
            self.supply.rate = rate = CellRate(lowest, self.supply.rate.minute_us)
            self._line.credit = rate.burst // CREDIT_SHARE
            self.supply.lease.clear()
            self._stirred.set()

    async def _nap(self, us: int) -> None:
        self._stirred.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(us / 1_000_000):
                await self._stirred.wait()


def _tell(request: Waiting, stretch: Stretch | None) -> None:
    if not request.turn.done():
        request.turn.set_result(stretch)

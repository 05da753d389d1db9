"""Where the turns of one limit come from: a lease in memory, and behind it the row that all replicas share.

Times are those of the row's database: what it said when it was asked last, and what has passed since on the loop's
clock.
"""

import asyncio

from clients.pacing.cell_rate import CellRate, Lease, Stretch
from clients.pacing.errors import PaceLost
from clients.pacing.row import FULL_PERMILLE, SLOWED_ONCE_IN_US, Asked, PaceRow, Taken, permille_at

AHEAD_SHARE = 300
"""What a process takes for the future is at most so many parts one of a minute, or one request: 200 ms."""
RECENT_SHARE = 30
"""How long use counts as recent, as a part of a minute: 2 s, and the 2 s before."""


def loop_us() -> int:
    """The loop's clock, in microseconds."""
    return int(asyncio.get_running_loop().time() * 1_000_000)


class Supply:
    """The turns of one limit in this process.

    Args:
        scope: Names the row.
        row: Shared by all replicas.
        rate: What a request costs; may be set anew at any time.
    """

    def __init__(self, scope: str, row: PaceRow, rate: CellRate) -> None:
        self.rate = rate
        self.lease = Lease()
        self._scope, self._row = scope, row
        self._offset_us = self._next_us = 0
        self._permille, self._slowed_at_us = FULL_PERMILLE, 0
        self._crowd = 1.0
        self._tail_us: int | None = None
        self._recent_since_us = self._recent_us = self._before_us = 0
        self._filling: asyncio.Task[None] | None = None
        self._slowing: set[asyncio.Task[None]] = set()
        self._slowed_us: int | None = None
        self._rests_until_us = 0

    def now_us(self) -> int:
        """The row's time."""
        return loop_us() + self._offset_us

    def due_us(self, amount: int) -> int | None:
        """How long until a request in hand may be sent; None if there is none in hand."""
        now_us = self.now_us()
        due_us = self.lease.due_us(self.rate, amount, now_us)
        return None if due_us is None else max(0, due_us - now_us)

    def use(self, amount: int) -> Stretch | None:
        """Uses the turn of a request if it is due, and sees to the next ones; returns it."""
        now_us = self.now_us()
        stretch = self.lease.use(self.rate, amount, now_us)
        if stretch is not None:
            self._look_ahead(now_us, amount)
        return stretch

    def use_for_line(self, amount: int, *, is_last: bool) -> Stretch | None:
        """Uses the turn of the first of a line, which is due; those behind it see to theirs."""
        now_us = self.now_us()
        stretch = self.lease.use(self.rate, amount, now_us)
        if is_last:
            self._look_ahead(now_us, amount)
        return stretch

    def give_back(self, stretch: Stretch) -> None:
        """Takes back the turn of a request that was not made after all."""
        self.lease.give_back(self.rate, stretch, self.now_us())

    def begin(self) -> None:
        """A line begins: nothing is known yet of how many others want the same."""
        self._crowd, self._tail_us = 1.0, None

    async def take(self, amount: int, line_amount: int, latest_us: int) -> bool:
        """Takes the turn of the first of a line, and of those behind it.

        Args:
            amount: What the first counts for.
            line_amount: What all of them do.
            latest_us: When the turn is of use to the first at the latest, on the loop's clock.

        Returns:
            Whether it comes in time.

        Raises:
            PaceLost: The row cannot be asked.
        """
        if self._filling is not None:
            await asyncio.wait({self._filling})  # it may be enough, and stretches come in their order
            return True
        return await self.take_into(self.lease, amount, line_amount, latest_us)

    async def take_into(self, lease: Lease, amount: int, line_amount: int, latest_us: int) -> bool:
        """Takes into a lease what is missing in it; see `take`."""
        rate, permille = self.rate, self._permille_now()
        (needed_us, back_us, early_us, _, _), in_hand_us = rate.cost_of(amount), lease.left_us(rate, self.now_us())
        if in_hand_us >= needed_us:  # it lies too far apart
            in_hand_us = 0
        least_us = _at(permille, needed_us - in_hand_us)
        wanted_us = max(least_us, _at(permille, max(0, rate.span_us(line_amount) - in_hand_us)))
        patience_us = max(latest_us - loop_us() - least_us + early_us, -back_us)
        asked = Asked(wanted_us, max(least_us, rate.minute_us // AHEAD_SHARE), back_us, patience_us)
        taken = await self._row.take(self._scope, asked)
        self._learn(taken)
        if taken.start_us is None:
            return taken.next_us <= taken.now_us + patience_us  # it was set right: then it is to be asked again
        if self._tail_us is not None and taken.start_us > taken.now_us - back_us:
            share = (taken.next_us - self._tail_us) / (taken.next_us - taken.start_us)
            self._crowd += (min(max(share, 1.0), 100.0) - self._crowd) / 4
        self._tail_us = taken.next_us
        _add(lease, taken.start_us, taken.next_us, permille)
        return True

    def wait_us(self, before: int, amount: int) -> int:
        """How long the turn of a request is away, about, if *before* units have theirs before it, and with it."""
        now_us, rate = self.now_us(), self.rate
        needed_us, in_hand_us = rate.span_us(before), self.lease.left_us(rate, now_us)
        if needed_us <= in_hand_us:
            end_us = self.lease.end_us() - in_hand_us + needed_us
        else:
            missing_us = round(_at(self._permille_now(), needed_us - in_hand_us) * self._crowd)
            end_us = max(self._next_us, now_us - rate.cost_of(amount).back_us) + missing_us
        return max(0, end_us - rate.cost_of(amount).early_us - now_us)

    def slow(self, rest_us: int) -> None:
        """Has all replicas use less of the limit, and nothing for *rest_us*; at most once in a while, or for longer."""
        now_us = loop_us()
        recently = self._slowed_us is not None and now_us - self._slowed_us < SLOWED_ONCE_IN_US
        if recently and now_us + rest_us <= self._rests_until_us + SLOWED_ONCE_IN_US:
            return
        self._slowed_us, self._rests_until_us = now_us, max(self._rests_until_us, now_us + rest_us)
        slowing = asyncio.create_task(self._slow(rest_us))
        self._slowing.add(slowing)
        slowing.add_done_callback(self._slowing.discard)

    def close(self) -> None:
        """Ends what runs beside the calls."""
        for task in (self._filling, *self._slowing):
            if task is not None:
                task.cancel()

    def _look_ahead(self, now_us: int, amount: int) -> None:
        """Sees to it, after a request, that the next ones find their turns in hand, if such are frequent."""
        rate, cost_us = self.rate, self.rate.cost_of(amount).cost_us
        recently_us, half_us = self._recently_used_us(now_us, cost_us), rate.small.back_us // 2
        if self.lease.latest_us(rate, now_us + half_us) >= cost_us:
            return
        wanted_us = min(recently_us, half_us)
        if wanted_us > cost_us > self.lease.left_us(rate, now_us + half_us) and self._filling is None:
            self._filling = asyncio.create_task(self._fill(wanted_us))

    async def _fill(self, wanted_us: int) -> None:
        """Takes turns that nobody waits for, here or elsewhere."""
        permille = self._permille_now()
        whole_us = _at(permille, wanted_us)
        # Half as far back as for a line: so they live the longer, and a burst finds the other half.
        asked = Asked(whole_us, whole_us, self.rate.small.back_us // 2, 0)
        try:
            taken = await self._row.take(self._scope, asked)
            self._learn(taken)
            if taken.start_us is not None:
                _add(self.lease, taken.start_us, taken.next_us, permille)
        except PaceLost:
            return  # whoever needs the next turn is told
        finally:
            self._filling = None

    async def _slow(self, rest_us: int) -> None:
        try:
            self._learn(await self._row.slow(self._scope, rest_us))
        except PaceLost:
            return  # the next 429 will tell it
        if rest_us:
            self.lease.clear()

    def _learn(self, taken: Taken) -> None:
        offset_us = taken.now_us - loop_us()
        if abs(offset_us - self._offset_us) > self.rate.held_us:  # the database's clock was set
            self.lease.clear()
        self._offset_us, self._next_us = offset_us, taken.next_us
        self._permille, self._slowed_at_us = taken.permille, taken.slowed_at_us

    def _permille_now(self) -> int:
        return permille_at(self._permille, self._slowed_at_us, self.now_us())

    def _recently_used_us(self, now_us: int, cost_us: int) -> int:
        lasts_us, since_us = self.rate.minute_us // RECENT_SHARE, now_us - self._recent_since_us
        if since_us > lasts_us:
            self._before_us = self._recent_us if since_us <= 2 * lasts_us else 0
            self._recent_us, self._recent_since_us = 0, now_us
        self._recent_us += cost_us
        return self._before_us + self._recent_us


def _at(permille: int, us: int) -> int:
    """How long a stretch is at a part of the full rate."""
    return -(-us * FULL_PERMILLE // permille)


def _add(lease: Lease, start_us: int, end_us: int, permille: int) -> None:
    """Adds a stretch; of one that was taken at less than the full rate only the last part may be used."""
    lease.add(end_us - (end_us - start_us) * permille // FULL_PERMILLE, end_us)

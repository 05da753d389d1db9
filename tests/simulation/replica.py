"""A replica around the real books, its callers, and the Cohere that they are all for."""

import asyncio
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import orjson

from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.entries import Admission, Admitted, Note, Settlement, State, Work
from service.books.errors import BooksError, BooksUnavailable
from service.books.forfeits import forfeit, overdue_teams
from service.books.period import Period
from service.books.records import Record
from service.books.usage import Units, Usage
from tests.simulation.oracles import Oracles
from tests.simulation.scenarios import Scenario
from tests.simulation.simulated_database import MESSAGE_S, Hop, Server, SimulatedDatabase
from tests.simulation.simulated_time import NOBODY, Process

T = TypeVar("T")

ATTEMPTS_MAX = 3
UNREACHABLE, BUSY = 0.005, 0.01
"""How often Cohere cannot be reached, and how often it answers 429."""
UPSTREAM_TIMEOUT_S = 5.0
FLUSH_TIMEOUT_S = 10.0
FORFEIT_AFTER_US = 15_000_000


@dataclass(eq=False)
class Call:
    """One caller's request."""

    call_id: str
    team: str
    hold_nanos: int
    cost_nanos: int
    """What Cohere bills for it if it answers."""
    has_left: bool = False
    is_admitting: bool = False
    task: "asyncio.Task[None] | None" = None


class End(NamedTuple):
    """How an attempt ended, as its replica sees it."""

    state: State
    charge_nanos: int | None
    again: bool = False


class Cohere:
    """Bills a request when it arrives, whoever is still there to hear of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scenario: Scenario, rng: Random, oracles: Oracles) -> None:
        self._loop, self._scenario, self._rng, self._oracles = loop, scenario, rng, oracles

    async def answer(self, call: Call, attempt: int) -> End:
        """Makes one request; what comes back, or does not, says how the attempt ends."""
        rng, slowest_s = self._rng, self._scenario.upstream_s_max
        if rng.random() < UNREACHABLE:
            return End("void", 0)
        lost = rng.choice(("request", "answer")) if rng.random() < self._scenario.lost_upstream else ""
        end = End("settled", 0, again=True) if rng.random() < BUSY else End("settled", call.cost_nanos)
        there_s, back_s = rng.uniform(*MESSAGE_S), rng.uniform(slowest_s / 10, slowest_s)
        if lost != "request":
            self._loop.call_later(there_s, self._bill, call, attempt, end, context=NOBODY)
        heard = End("forfeited", None) if lost else end
        reply: asyncio.Future[End] = self._loop.create_future()
        self._loop.call_later(UPSTREAM_TIMEOUT_S if lost else there_s + back_s, _tell, reply, heard, context=NOBODY)
        return await reply

    def _bill(self, call: Call, attempt: int, end: End) -> None:
        self._oracles.look_at_bill(call.call_id, attempt, end.charge_nanos or 0)


def _tell(reply: "asyncio.Future[T]", value: T) -> None:
    if not reply.done():
        reply.set_result(value)


@dataclass
class World:
    """What the replicas of one run share."""

    scenario: Scenario
    rng: Random
    loop: asyncio.AbstractEventLoop
    zones: dict[str, ZoneInfo]
    """By team."""
    server: Server
    oracles: Oracles
    cohere: Cohere
    hop: Hop


async def a_turn() -> None:
    """What joins a batch here: a turn of the loop, whose length on a real clock MUST NOT decide."""
    await asyncio.sleep(0)


class Replica:
    """What stands around the books: holds, sends, settles; and sees an attempt to its end when the caller leaves."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.start()

    def start(self) -> None:
        """Begins a new life."""
        world, rng = self._world, self._world.rng
        self.process = Process(world.loop)
        self.calls: dict[Call, None] = {}
        self.taken: list[str] = []
        self.is_stopping = False
        skew_us = round(rng.uniform(-1e6, 1e6) * world.scenario.skew_s)
        clock = DatabaseClock(world.server.now_us() + skew_us, lambda: round(world.loop.time() * 1e9))
        database = SimulatedDatabase(world.server, world.scenario, rng, world.hop, world.oracles)
        self.committer = Committer(database, clock, told=lambda _: None, jitter=rng.random, gather=a_turn)
        self.books = Books(database, self.committer)

    @property
    def is_busy(self) -> bool:
        """It has something to end, or does not answer for the moment."""
        return bool(self.calls) or self.process.is_stopped or self.is_stopping

    async def stop(self) -> int:
        """Takes no more calls, ends those that it has, and writes all; gives how many entries were not written."""
        self.is_stopping = True
        while self.calls:
            await asyncio.sleep(0.05)
        return await self.committer.close(FLUSH_TIMEOUT_S)

    def take(self, call: Call) -> None:
        """Begins to serve a call."""
        self.calls[call] = None
        self.taken.append(call.call_id)
        call.task = self.process.start(self._serve(call))

    def leave(self, call: Call) -> None:
        """The caller is gone: what is not sent is given up, what is sent runs on to its end."""
        call.has_left = True
        if call.is_admitting and call.task is not None:
            call.task.cancel()

    async def keep_house(self) -> None:
        """Marks the attempts that nobody will end."""
        try:
            for team in await self.books.read(partial(overdue_teams, open_longer_than_us=FORFEIT_AFTER_US)):
                await self.committer.submit(forfeit(team, FORFEIT_AFTER_US))
        except BooksUnavailable:
            return

    async def operate(self, work: Work) -> Any:
        """Makes an operator's change; gives None if it may not have happened."""
        try:
            return await self.committer.submit(work)
        except BooksUnavailable:
            return None

    async def _serve(self, call: Call) -> None:
        after: Settlement | None = None
        for attempt in range(1, ATTEMPTS_MAX + 1):
            admitted = await self._admit(call, attempt, after)
            if isinstance(admitted, str):
                await self._refuse(call, admitted)
                break
            end = await self._send(call, attempt)
            is_last = call.has_left or not end.again or attempt == ATTEMPTS_MAX
            after = self._settlement(call, attempt, admitted, end, is_last=is_last)
            if is_last:
                await self._settle(after)
                break
        del self.calls[call]

    async def _admit(self, call: Call, attempt: int, after: Settlement | None) -> Admitted | str:
        """Holds what the attempt may cost, or tells why not."""
        call.is_admitting = True
        try:
            return await self.books.admit(self._admission(call, attempt), after)
        except asyncio.CancelledError:
            if not call.has_left:
                raise
            return "CANCELLED"
        except BooksError as refused:
            return type(refused).__name__
        finally:
            call.is_admitting = False

    async def _send(self, call: Call, attempt: int) -> End:
        return await self._world.cohere.answer(call, attempt)

    async def _settle(self, settlement: Settlement) -> None:
        try:
            await self.books.settle(settlement)
            self._world.oracles.look_at_answer(settlement)
        except BooksUnavailable:
            self._world.oracles.counts["answers withheld"] += 1

    async def _refuse(self, call: Call, reason: str) -> None:
        self._world.oracles.counts[reason] += 1
        record = Record("answer", call.call_id, call.team, orjson.dumps({"reason": reason}))
        usage = Usage("chat", "m", "k", reason, calls=1, attempts=0)
        try:
            await self.books.record(Note(call.team, record, (usage,), self._world.zones[call.team]))
        except BooksUnavailable:
            self._world.oracles.counts["answers without a record"] += 1

    def _admission(self, call: Call, attempt: int) -> Admission:
        def intent(period: Period) -> bytes:
            return orjson.dumps({"attempt": attempt, "hold_nanos": call.hold_nanos, "period_start_us": period.start_us})

        def abandoned(admitted: Admitted) -> bytes:
            return _outcome(attempt, End("void", 0), is_last=False)

        return Admission(
            call.team, call.call_id, attempt, self._world.scenario.limit_nanos, self._world.zones[call.team],
            call.hold_nanos, "v1", "chat", "m", "k", intent, abandoned,
        )  # fmt: skip

    @staticmethod
    def _settlement(call: Call, attempt: int, admitted: Admitted, end: End, *, is_last: bool) -> Settlement:
        record = Record("outcome", call.call_id, call.team, _outcome(attempt, end, is_last=is_last))
        units = Units(input_tokens=_tokens(end))
        usage = Usage("chat", "m", "k", "", calls=int(is_last), attempts=1, units=units)
        return Settlement(call.team, call.call_id, attempt, admitted, end.state, end.charge_nanos, record, usage)


def _outcome(attempt: int, end: End, *, is_last: bool) -> bytes:
    return orjson.dumps({"attempt": attempt, "last": is_last, "billed_units": {"input_tokens": _tokens(end)}})


def _tokens(end: End) -> int:
    return (end.charge_nanos or 0) // 1000

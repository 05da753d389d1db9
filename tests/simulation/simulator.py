"""Many replicas of the books on one thread and in simulated time: their code is the real one, the world around is not.

Everything that is left to chance - who calls, how long a message takes, which one is lost, who crashes - is drawn from
one seed, in an order that depends on nothing else; so a run is repeated by its seed. The oracles look at every
transaction and at every bill.
"""

import asyncio
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import structlog.testing

from service.books.entries import Work
from service.books.operations import Held, Operator, adjustment, freeze
from tests.simulation.oracles import Oracles
from tests.simulation.replica import Call, Cohere, Replica, World
from tests.simulation.scenarios import MIDNIGHTS, Scenario
from tests.simulation.simulated_database import Server
from tests.simulation.simulated_time import NOBODY, SimulatedLoop, current_process

HOLD_NANOS = (5_000_000, 60_000_000)
TRUTH = (1.2, 3.0)
"""What is billed is beta-distributed between nothing and the hold."""
LEAVING, PATIENCE_S_MAX = 0.1, 2.0
"""How many callers do not wait for the answer, and within how long they leave."""
REPLICAS_AT_ONCE_MAX = 3
PAUSE_S, RESTART_S = (0.5, 30.0), (1.0, 5.0)
HOUSEKEEPING_S, OPERATING_S, FROZEN_S = (2.0, 4.0), (6.0, 12.0), (0.2, 1.5)
CLOCK_STEP_S = (-2.0, 2.0)
ADJUSTED_NANOS_MAX = 20_000_000
PATIENCE_OF_OPERATORS_S = 10.0
EXPECTED_EVENTS = {"books unavailable", "books available", "budget locked"}
"""What the books may log; anything else is trouble that no fault here explains."""
REST_S_MAX = 200.0
"""Within how long everything has to end once nothing goes wrong any more."""


@dataclass(frozen=True)
class Report:
    """How a run went; `violations` names the first invariants that did not hold."""

    scenario: str
    seed: int
    calls: int
    transactions: int
    billed_nanos: int
    overspent_nanos: int
    exhausted_nanos: int
    """Billed on the days on which the budget was spent."""
    exhausted_limit_nanos: int
    """What those days allowed."""
    counts: dict[str, int]
    """Refusals and misfortunes, by kind."""
    trail: str
    """A digest of all records in their places: two runs that agree in it have done the same at the same times."""
    violations: list[str]


class Simulation:
    """One run."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario, self._seed = scenario, seed
        self._rng = rng = Random(f"{scenario.name} {seed}")
        self._loop = loop = SimulatedLoop()
        loop.set_exception_handler(self._note_error)
        zone_name, day = rng.choice(MIDNIGHTS)
        zones = (ZoneInfo(zone_name), ZoneInfo("UTC"))
        midnight_s = datetime.fromisoformat(day).replace(tzinfo=zones[0]).timestamp()
        before_s = scenario.duration_s * rng.uniform(0.4, 0.6) if scenario.goes_over_midnight else -3600
        server = Server(loop, round((midnight_s - before_s) * 1e6))
        teams = {f"team{n}": zones[n] for n in range(scenario.teams)}
        self._oracles = oracles = Oracles(server.connection, scenario.limit_nanos, teams)
        cohere = Cohere(loop, scenario, rng, oracles)
        self._world = World(scenario, rng, loop, teams, server, oracles, cohere, self._hop)
        self._calls = 0
        self._goes_wrong = not scenario.is_faultless
        self._replicas: list[Replica] = []
        self._crashed: list[Any] = []

    def run(self) -> Report:
        """Plays it to the end, or until something is violated."""
        with (
            patch("uuid.uuid4", lambda: uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            structlog.testing.capture_logs() as lines,
        ):
            self._loop.run_until_complete(self._loop.create_task(self._play(), context=NOBODY))
        self._loop.close()
        for line in lines:
            if line["event"] not in EXPECTED_EVENTS:
                self._oracles.violated("log", line)
        oracles = self._oracles
        return Report(
            self._scenario.name, self._seed, self._calls, oracles.transactions, oracles.billed_nanos,
            oracles.overspent_nanos, *oracles.exhausted_nanos, dict(sorted(oracles.counts.items())),
            oracles.trail, oracles.violations[:10],
        )  # fmt: skip

    async def _play(self) -> None:
        self._replicas += [Replica(self._world) for _ in range(self._scenario.replicas)]
        world = [self._loop.create_task(each, context=NOBODY) for each in (self._keep_house(), *self._misfortunes())]
        for after_s, for_s in self._scenario.outages:
            self._loop.call_later(after_s, self._world.server.go_down)
            step_us = round(self._rng.uniform(*CLOCK_STEP_S) * 1e6)
            self._loop.call_later(after_s + for_s, self._world.server.come_back, step_us)
        await self._call()
        for task in world:
            task.cancel()
        self._goes_wrong = False
        if not self._oracles.violations:
            await self._come_to_rest()
        await self._tear_down()

    async def _call(self) -> None:
        rng, scenario = self._rng, self._scenario
        while self._loop.time() < scenario.duration_s and not self._oracles.violations:
            at_once = rng.randint(1, scenario.calls_at_once_max)
            await asyncio.sleep(rng.expovariate(scenario.calls_per_s / at_once))
            few = [self._any_replica() for _ in range(rng.randint(1, REPLICAS_AT_ONCE_MAX))]
            for _ in range(at_once):
                replica = rng.choice(few)
                self._calls += 1
                hold_nanos = rng.randint(*HOLD_NANOS)
                cost_nanos = int(hold_nanos * rng.betavariate(*TRUTH))
                call = Call(f"call{self._calls}", rng.choice(list(self._world.zones)), hold_nanos, cost_nanos)
                replica.take(call)
                if rng.random() < LEAVING:
                    left_s = rng.uniform(0, PATIENCE_S_MAX)
                    self._loop.call_later(left_s, replica.process.run, replica.leave, call)

    def _any_replica(self) -> Replica:
        """One that serves; nobody sees who stands still."""
        while (replica := self._rng.choice(self._replicas)).process.has_crashed or replica.is_stopping:
            continue
        return replica

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(*HOUSEKEEPING_S))
            replica = self._any_replica()
            replica.process.start(replica.keep_house())

    def _misfortunes(self) -> list[Any]:
        scenario = self._scenario
        wrong = (
            (scenario.crashes_per_s, self._crash),
            (scenario.pauses_per_s, self._pause),
            (scenario.deploys_per_s, self._deploy),
        )
        strikes = [self._strike(per_s * scenario.replicas, how) for per_s, how in wrong if per_s]
        return [*strikes, self._operate()] if scenario.operators else strikes

    async def _strike(self, per_s: float, how: Callable[[Replica], None]) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(per_s))
            how(self._any_replica())

    async def _hop(self, between_s: tuple[float, float]) -> None:
        process = current_process()
        if process is not None and self._goes_wrong and self._rng.random() < self._scenario.struck:
            struck = [replica for replica in self._replicas if replica.process is process]
            for replica in struck:
                self._rng.choice((self._crash, self._pause))(replica)
        await asyncio.sleep(self._rng.uniform(*between_s))

    def _crash(self, replica: Replica) -> None:
        self._oracles.counts["crashes"] += 1
        self._end(replica)

    def _end(self, replica: Replica) -> None:
        process = replica.process
        process.is_stopped = process.has_crashed = True
        self._crashed.append(process)
        self._oracles.lost_calls.update(replica.taken)
        self._world.server.miss(process)
        self._loop.call_later(self._rng.uniform(*RESTART_S), replica.start, context=NOBODY)

    def _pause(self, replica: Replica) -> None:
        process = replica.process
        if not process.is_stopped:
            self._oracles.counts["pauses"] += 1
            process.is_stopped = True
            self._world.server.miss(process)
            self._loop.call_later(self._rng.uniform(*PAUSE_S), process.wake, context=NOBODY)

    def _deploy(self, replica: Replica) -> None:
        replica.process.start(self._renew(replica))

    async def _renew(self, replica: Replica) -> None:
        if not await replica.stop():
            replica.taken.clear()  # it says that nothing is lost
        self._oracles.counts["deploys"] += 1
        self._end(replica)

    async def _operate(self) -> None:
        for number in itertools.count():
            await asyncio.sleep(self._rng.uniform(*OPERATING_S))
            await self._change(number, *self._rng.choice(list(self._world.zones.items())))

    async def _change(self, number: int, team: str, zone: ZoneInfo) -> None:
        """Freezes a team for a moment, and charges it something that it gets back."""
        by, nanos = Operator("operator", ""), self._rng.randrange(ADJUSTED_NANOS_MAX)
        await self._insist(lambda: freeze(team, zone, by, frozen=True))
        held: Held = await self._insist(lambda: adjustment(team, zone, nanos, f"charge {number}", by))
        await asyncio.sleep(self._rng.uniform(*FROZEN_S))
        await self._insist(lambda: freeze(team, zone, by, frozen=False))
        await self._insist(lambda: adjustment(team, zone, -nanos, f"refund {number}", by, held.standing.period))

    async def _insist(self, work: Callable[[], Work]) -> Any:
        """Tries one replica after the other, for some do not answer."""
        while True:
            replica = self._any_replica()
            task = replica.process.start(replica.operate(work()))
            await asyncio.wait({task}, timeout=PATIENCE_OF_OPERATORS_S)
            if task.done() and task.result() is not None:
                return task.result()
            await asyncio.sleep(1.0)

    async def _come_to_rest(self) -> None:
        """Nothing goes wrong any more: everything ends, and the replicas stop one after the other."""
        until_s = self._loop.time() + REST_S_MAX
        while unfinished := [each for each in self._replicas if each.is_busy]:
            if self._loop.time() > until_s:
                self._oracles.violated("rest", f"{len(unfinished)} replicas do not come to rest")
                return
            await asyncio.sleep(1.0)
        for replica in self._replicas:
            if left := await replica.process.start(replica.stop()):
                self._oracles.violated("rest", f"{left} entries were not written")
        self._oracles.look_at_rest(self._calls if self._scenario.is_faultless else None)

    async def _tear_down(self) -> None:
        """Ends what still runs, that of crashed processes too, so that nothing is left behind."""
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        for process in (*self._crashed, *(replica.process for replica in self._replicas)):
            process.resume()
        if tasks:
            await asyncio.wait(tasks, timeout=REST_S_MAX)

    def _note_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] != "Future exception was never retrieved":  # its caller has left
            self._oracles.violated("code", f"{context['message']}: {context.get('exception')!r}")

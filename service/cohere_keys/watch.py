"""Knows whether Cohere takes each team's key: asks at the start and on a schedule, and often while it refuses one."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping

from clients import key_verdict
from clients.key_check import KeyChecker
from clients.key_verdict import KeyState, KeyVerdict
from clients.teams import TeamClient
from service.books.alerts import Alerts
from service.cohere_keys.team_watch import Survived, TeamKeyWatch
from service.config import ConfigError
from service.config.sections import CohereConfig
from service.telemetry.metrics import Metrics

START_TIMEOUT_S = 10.0
"""How long the checks may hold a start up, all together."""
TICK_S = 0.5
_SPREAD = 0.1
"""By how much of its interval a check is early at random, so that teams and replicas do not ask all at once."""


class KeyWatch:
    """Has teams' keys looked at when it is time.

    Args:
        checker: Asks Cohere.
        clients: The teams as they are now.
        check_s: Between two checks of a good key.
        alerts: Told of refusals that leave a team without a key.
        metrics: Told of every check.
        survived: Told when a version proved worse than the one before.
        jitter: Draws from [0, 1).
    """

    def __init__(
        self,
        checker: KeyChecker,
        clients: Callable[[], Mapping[str, TeamClient]],
        check_s: float,
        alerts: Alerts,
        metrics: Metrics,
        *,
        survived: Survived = lambda _team, _refused, _survivor: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._checker = checker
        self._clients = clients
        self._check_s = check_s
        self._alerts = alerts
        self._metrics = metrics
        self._survived = survived
        self._jitter = jitter
        self._teams: dict[str, TeamKeyWatch] = {}
        self._looks: dict[TeamKeyWatch, asyncio.Task[None]] = {}
        self._hurried = asyncio.Event()

    async def check_all(self, timeout_s: float = START_TIMEOUT_S) -> dict[str, KeyVerdict]:
        """Checks every team's key once; what is not found out in time is not known."""
        verdicts = dict.fromkeys(self._clients(), key_verdict.not_asked("the check was not over in time"))

        async def check(team: str, watched: TeamKeyWatch) -> None:
            verdicts[team] = await watched.check()
            self._plan(watched)

        self._follow()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                for team, watched in self._teams.items():
                    group.create_task(check(team, watched))
        return verdicts

    async def run(self) -> None:
        """Keeps to the schedule, until cancelled."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._hurried.wait()
                self._hurried.clear()
                self._follow()
                now_s = asyncio.get_running_loop().time()
                for watched in self._teams.values():
                    if watched.next_s <= now_s and watched not in self._looks:
                        self._looks[watched] = asyncio.create_task(self._look(watched))
        finally:
            for watched in self._teams.values():
                watched.close()
            looks = set(self._looks.values())
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    async def _look(self, watched: TeamKeyWatch) -> None:
        self._plan(watched)  # before it: a refusal meanwhile calls for another look
        try:
            await watched.look()
        finally:
            del self._looks[watched]
            if watched.interval_s is None:
                watched.next_s = max(watched.next_s, self._scheduled_s())

    def _plan(self, watched: TeamKeyWatch) -> None:
        urgent_s = watched.interval_s
        now_s = asyncio.get_running_loop().time()
        watched.next_s = self._scheduled_s() if urgent_s is None else now_s + urgent_s

    def _scheduled_s(self) -> float:
        return asyncio.get_running_loop().time() + self._check_s * (1 - _SPREAD * self._jitter())

    def _follow(self) -> None:
        """Takes in the teams that there are now."""
        clients = self._clients()
        for team, client in clients.items():
            known = self._teams.get(team)
            if known is None or known.client.keys is not client.keys:
                known = self._teams[team] = TeamKeyWatch(
                    client, self._checker, self._alerts, self._metrics, self._survived, self._hurried.set
                )
            known.client = client
            known.tell_usable()
        for team in self._teams.keys() - clients.keys():
            del self._teams[team]
            self._metrics.key_gone(team)


@contextlib.asynccontextmanager
async def watching_keys(
    cohere: CohereConfig,
    clients: Callable[[], Mapping[str, TeamClient]],
    alerts: Alerts,
    metrics: Metrics,
    survived: Survived,
) -> AsyncIterator[KeyWatch]:
    """Checks every team's key, then watches them inside the context.

    Args:
        cohere: How.
        clients: As `KeyWatch`.
        alerts: As `KeyWatch`.
        metrics: As `KeyWatch`.
        survived: As `KeyWatch`.

    Raises:
        ConfigError: `cohere.on_refused_key` says not to start with a key that is not good; names every such team.
    """
    checker = KeyChecker()
    watch = KeyWatch(checker, clients, cohere.key_check_seconds, alerts, metrics, survived=survived)
    try:
        verdicts = await watch.check_all()
        if cohere.on_refused_key == "refuse":
            _require_none_refused(verdicts)
        watching = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            watching.cancel()
            await asyncio.wait({watching})
    finally:
        checker.close()


def _require_none_refused(verdicts: Mapping[str, KeyVerdict]) -> None:
    problems = [
        f"teams.{team}.cohere_key: {verdict.message}: {verdict.advice}"
        for team, verdict in sorted(verdicts.items())
        if verdict.state is KeyState.REFUSED
    ]
    if problems:
        raise ConfigError(problems)

"""Watches one team's Cohere key: has Cohere asked about it, and tells what becomes of it."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from clients import key_verdict
from clients.breaker import Refusal
from clients.key_check import KeyChecker
from clients.key_verdict import KeyState, KeyVerdict
from clients.teams import TeamClient
from service.books.alerts import Alerts
from service.telemetry.metrics import Metrics

HEAL_S = 2.0
"""Between two looks at a key that is refused or missing; source and Cohere are both asked."""
LOOK_TIMEOUT_S = 15.0
SOURCE_WAIT_S = 2.0
"""A source that hangs, or a rotation that lasts, does not keep Cohere from being asked about what is in use."""
_NO_KEY = "see that its source can be read and holds a good key of the team's"

Survived = Callable[[str, int, int], object]
"""Told of a team, its current version, which Cohere refuses, and the previous one, which it takes."""

_log = structlog.get_logger()


class TeamKeyWatch:
    """Listens to a team's key ring, and looks at its key when told to.

    Args:
        client: The team's.
        checker: Asks Cohere.
        alerts: Told of refusals that leave the team without a key.
        metrics: Told of every check.
        survived: Told when a version proved worse than the one before.
        hurry: Called when there is something to look at now.

    Attributes:
        client: The team's as it is now; its ring stays.
        next_s: When to look again, on the loop's clock.
    """

    def __init__(
        self,
        client: TeamClient,
        checker: KeyChecker,
        alerts: Alerts,
        metrics: Metrics,
        survived: Survived,
        hurry: Callable[[], object],
    ) -> None:
        self.client = client
        self.next_s = 0.0
        self._team, self._keys = client.team, client.keys
        self._checker = checker
        self._alerts = alerts
        self._metrics = metrics
        self._told_survived = survived
        self._hurry = hurry
        self._renewing = False
        self._said: tuple[object, ...] = ()
        self._alerted: set[tuple[int, str]] = set()
        """Versions that were told to be refused, and for which endpoint alone."""
        client.keys.listener = self

    @property
    def interval_s(self) -> float | None:
        """Until the next look, if that is not what the schedule says: a key that is missing or refused is urgent."""
        return HEAL_S if self._keys.rejected or self._keys.in_use is None else None

    async def look(self) -> None:
        """Reads the source again if the key is refused or missing, and asks Cohere about what there is then."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                if self.interval_s is not None:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(SOURCE_WAIT_S):
                            # A refusal has begun a renewal of its own.
                            await (self._keys.renewal_over() if self._renewing else self._keys.renewed())
                self._renewing = False
                await self.check()
        except TimeoutError:
            _log.warning("cohere key not checked in time", team=self._team)
        except Exception as error:  # one look that fails must not be the last
            _log.error("check of a cohere key failed", team=self._team, exc_info=error)

    async def check(self) -> KeyVerdict:
        """Asks Cohere about the current version."""
        key, begun_s = self._keys.in_use, self._keys.now_s()
        if key is None:
            verdict = key_verdict.not_set(self._keys.problem, _NO_KEY)
        else:
            verdict = await self._checker.check(key, self.client.base_url)
            if verdict.state is KeyState.GOOD or verdict.refusal is not None:
                self._keys.checked(key, verdict.refusal, begun_s)
        self._metrics.key_checked(self._team, verdict.state)
        self._say(verdict, key.version if key else 0)
        self.tell_usable()
        return verdict

    def tell_usable(self) -> None:
        """Tells whether the team's calls can be made."""
        self._metrics.key_usable(self._team, self._keys.in_use is not None and self._keys.refusal is None)

    def refused(self, version: int, refusal: Refusal, endpoint: str) -> None:
        """Cohere has refused a call, or the check."""
        _log.warning("cohere key refused", team=self._team, key_version=version, status=int(refusal), endpoint=endpoint)
        if refusal is Refusal.REJECTED:
            # A look tells whether there is another by now, and whether it was more than a hiccup of Cohere's.
            self._renewing, self.next_s = True, 0.0
            self._hurry()
        else:
            self._alert(version, refusal.name.lower(), endpoint)

    def taken_again(self, version: int) -> None:
        """Cohere has taken a call again, or found the key good."""
        self._alerted.clear()
        _log.info("cohere key taken again", team=self._team, key_version=version)

    def survived(self, refused: int, survivor: int) -> None:
        """Cohere refuses the current version, and takes the previous one."""
        _log.warning("cohere key survived by the one before", team=self._team, key_version=refused, survivor=survivor)
        self._told_survived(self._team, refused, survivor)

    def close(self) -> None:
        """Gives up what the ring has under way."""
        self._keys.close()

    def _say(self, verdict: KeyVerdict, version: int) -> None:
        if verdict.state is KeyState.GOOD:
            self._alerted.clear()
        elif verdict.cause is not None and (self._keys.in_use is None or self._keys.refusal is not None):
            self._alert(version, verdict.cause, "")
        said = (version, verdict.state, verdict.cause)
        if said == self._said:
            return
        self._said = said
        if verdict.state is KeyState.GOOD:
            whose = {"organization_id": verdict.organization_id, "trial": verdict.trial}
            _log.info("cohere key good", team=self._team, key_version=version, **whose)
        else:
            what = "not good" if verdict.state is KeyState.REFUSED else "not checked"
            why = {"cause": verdict.cause, "problem": verdict.message, "advice": verdict.advice}
            _log.warning(f"cohere key {what}", team=self._team, key_version=version, **why)

    def _alert(self, version: int, refusal: str, endpoint: str) -> None:
        if (version, endpoint) not in self._alerted:
            self._alerted.add((version, endpoint))
            self._alerts.key_refused(self._team, version, refusal, endpoint)

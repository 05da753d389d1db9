"""The versions of one team's Cohere key in memory: which one an attempt uses, and what becomes of it if Cohere refuses.

Whoever reads the key's source gives the ring its versions; the ring asks for a renewal once when Cohere refuses the
current one (`clients.key_renewal`). Calls wait for that one renewal, and for no other.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable

from clients.breaker import Breaker, Refusal
from clients.cohere_key import CohereKey
from clients.key_listener import KeyListener, NoListener
from clients.key_renewal import Renewal
from clients.slot import Leave, Slot
from clients.status import key_missing, refusal_of_key

_TAKEN = 200
_WHOLE = (Refusal.REJECTED, Refusal.UNPAID)
_REFUSALS = {int(refusal): refusal for refusal in Refusal}


class KeyRing:
    """The current and the previous version of one team's Cohere key.

    Args:
        clock_s: Seconds that only go forward.
        now_us: The time, in microseconds since 1970.

    Attributes:
        now_s: The time on the ring's clock.
        now_us: Tells when an overlap is over; by the clock of who says when it ends.
        renew: Reads the source, and has the ring use what it finds if that is another version.
        listener: Is told of refusals.
        problem: Why the source could not be read the last time, or ""; names the source, never the value.
        checked_at_us: When Cohere was last asked for the current version, or None.
    """

    def __init__(
        self,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.renew: Callable[[], Awaitable[object]] = functools.partial(asyncio.sleep, 0)
        self.listener: KeyListener = NoListener()
        self.problem = "not read yet"
        self.checked_at_us: int | None = None
        self.overlap_end_us = 0
        self.now_us = now_us
        self.now_s = clock_s
        self._current: CohereKey | None = None
        self._previous: CohereKey | None = None
        self._breakers: dict[int, Breaker] = {}
        self._survived: int | None = None
        self._renewal = Renewal(self._renew, clock_s)
        self._asked_for = False

    def use(
        self, current: CohereKey | None, previous: CohereKey | None = None, overlap_end_us: int | None = None
    ) -> None:
        """Takes versions into use. What is known against a version that was there stays; attempts end as they began.

        Args:
            current: What attempts use.
            previous: What they fall back on.
            overlap_end_us: Until when, in microseconds since 1970; None for always.
        """
        current, previous = self._known(current), self._known(previous)
        if current is None or not _same(current, self._current):
            self.checked_at_us = None
        self._current, self._previous = current, previous
        self.overlap_end_us = 0 if overlap_end_us is None else overlap_end_us
        kept = [key.version for key in (current, previous) if key is not None]
        self._breakers = {version: self._breakers.get(version, Breaker()) for version in kept}

    @property
    def in_use(self) -> CohereKey | None:
        """The current version, or None."""
        return self._current

    @property
    def previous(self) -> CohereKey | None:
        """The version that is kept to fall back on, or None, also once its overlap is over."""
        over = 0 < self.overlap_end_us <= self.now_us()
        return None if over else self._previous

    @property
    def refusal(self) -> Refusal | None:
        """Why calls of the team are refused whatever their endpoint, or None."""
        first: Refusal | None = None
        for key in (self._current, self.previous):
            breaker = self._breaker_of(key)
            if breaker is not None:
                against = next((each for each in _WHOLE if breaker.since_s(each) is not None), None)
                if against is None:
                    return None
                first = first or against
        return first

    @property
    def rejected(self) -> bool:
        """Whether Cohere refuses the current version whole (401), and no check has found it good since."""
        breaker = self._breaker_of(self._current)
        return breaker is not None and breaker.since_s(Refusal.REJECTED) is not None

    @property
    def forbidden_endpoints(self) -> list[str]:
        """The endpoints that Cohere refuses the current version for, by name."""
        breaker = self._breaker_of(self._current)
        return breaker.forbidden_endpoints if breaker else []

    async def usable(self, endpoint: str) -> CohereKey:
        """The version that a call of that endpoint would use now.

        Raises:
            UpstreamError: COHERE_KEY_MISSING; the source never held a key. COHERE_KEY_REJECTED, COHERE_BILLING,
                COHERE_KEY_FORBIDDEN; Cohere has refused others, so nothing is sent.
        """
        if self._current is None and not self._asked_for:
            # Of a team that has just come: its source may not have been read yet.
            self._asked_for = True
            self._renewal.begin_for_calls()
        if self.rejected or self._current is None:
            await self._renewal.wait_for_calls(lambda: self._goes_on(endpoint))
        chosen = self._chosen(endpoint)
        if chosen is None:
            raise key_missing()
        if isinstance(chosen, Refusal):
            raise refusal_of_key(chosen)
        return chosen

    async def leave(self, endpoint: str) -> Leave:
        """Grants leave for one attempt, and counts on it to tell what came of it: `answered`, or `unused`.

        Raises:
            UpstreamError: As `usable`.
        """
        key = await self.usable(endpoint)
        now_s = self.now_s()
        return Leave(key, now_s, self._breakers[key.version].begin(endpoint, now_s))

    def answered(self, slot: Slot, endpoint: str, status: int | None) -> None:
        """Keeps what Cohere's answer to an attempt says of its version.

        Args:
            slot: Of the attempt.
            endpoint: Of its call.
            status: Cohere's HTTP status; None if none came. Of others than 200, 401, 402 and 403 nothing follows.
        """
        breaker = self._breaker_of(slot.key)
        if breaker is None:
            return
        if status == _TAKEN:
            if breaker.taken(endpoint, slot.begun_s):
                self.listener.taken_again(slot.key.version)
            self._note_survival(slot, endpoint)
        elif status in _REFUSALS and self._is_doubtful(_REFUSALS[status], slot, endpoint):
            if not self._renewal.began_for_calls_since(slot.begun_s):  # or the source was read after it had begun
                self._renewal.begin_for_calls()
        elif status in _REFUSALS:
            self._refused(slot.key, breaker, _REFUSALS[status], endpoint)

    def unused(self, slot: Slot, endpoint: str) -> None:
        """An attempt that was granted leave was never sent."""
        breaker = self._breaker_of(slot.key)
        if slot.trial and breaker is not None:
            breaker.unused(endpoint, self.now_s())

    async def another(self, refused: CohereKey, endpoint: str) -> bool:
        """Tells whether an attempt that was refused can be made again with another version, once that is known."""
        await self._renewal.wait_for_calls(lambda: self._goes_on(endpoint, refused))
        return self._goes_on(endpoint, refused)

    def checked(self, key: CohereKey, refusal: Refusal | None, begun_s: float) -> None:
        """Keeps what a check of a version found.

        Args:
            key: The version.
            refusal: Why Cohere refuses it whole, or None if it does not.
            begun_s: When the check began, on the ring's clock.
        """
        breaker = self._breaker_of(key)
        if breaker is None:
            return
        if _same(key, self._current):
            self.checked_at_us = self.now_us()
        if refusal is not None:
            self._refused(key, breaker, refusal, "")
        elif breaker.found_good(begun_s):
            for each in self._breakers.values():  # what Cohere said of another one meanwhile was no truer
                each.found_good(self.now_s())
            self.listener.taken_again(key.version)

    def another_is_coming(self) -> None:
        """The source was found to hold another version, which is being checked: calls that wait may wait for it."""
        self._renewal.another_is_coming()

    async def renewed(self) -> None:
        """Has the source read, once for all who ask for it meanwhile. Calls do not wait for it."""
        await asyncio.wait({self._renewal.begin()})

    async def renewal_over(self) -> None:
        """Waits for the renewal that is under way, if one is."""
        await self._renewal.over()

    def close(self) -> None:
        """Gives up what is under way."""
        self._renewal.close()

    def _known(self, key: CohereKey | None) -> CohereKey | None:
        """The same version as it was read first, if it is here."""
        return next((each for each in (self._current, self._previous) if key is not None and _same(key, each)), key)

    def _refused(self, key: CohereKey, breaker: Breaker, refusal: Refusal, endpoint: str) -> None:
        now_s = self.now_s()
        if not breaker.refused(refusal, endpoint, now_s):
            return
        self.listener.refused(key.version, refusal, endpoint if refusal is Refusal.FORBIDDEN else "")
        if refusal is Refusal.REJECTED and _same(key, self._current):
            self._renewal.begin_for_calls()

    def _is_doubtful(self, refusal: Refusal, slot: Slot, endpoint: str) -> bool:
        """Whether a refusal is no reason to refuse other calls, where none could go on with another version."""
        previous, breaker = self.previous, self._breakers[slot.key.version]
        spare = previous is not None and self._breakers[previous.version].against(endpoint, slot.begun_s) is None
        return not spare and breaker.doubts(refusal, slot.begun_s)

    def _note_survival(self, slot: Slot, endpoint: str) -> None:
        current, breaker = self._current, self._breaker_of(self._current)
        if current is None or breaker is None or not _same(slot.key, self._previous):
            return
        if self._survived == current.version:
            return
        for refusal in (Refusal.REJECTED, Refusal.FORBIDDEN):
            since_s = breaker.since_s(refusal, endpoint)
            if since_s is not None and slot.begun_s >= since_s:
                self._survived = current.version
                self.listener.survived(current.version, slot.key.version)
                return

    def _chosen(self, endpoint: str) -> CohereKey | Refusal | None:
        """The version to use, or why there is none; None if there is none at all."""
        first: Refusal | None = None
        for key in (self._current, self.previous):
            if key is None:
                continue
            against = self._breakers[key.version].against(endpoint, self.now_s())
            if against is None:
                return key
            first = first or against
            if against is Refusal.UNPAID:  # the account's matter, which no other key of it changes
                break
        return first

    def _breaker_of(self, key: CohereKey | None) -> Breaker | None:
        return None if key is None else self._breakers.get(key.version)

    def _goes_on(self, endpoint: str, refused: CohereKey | None = None) -> bool:
        """Whether a call can be made now, with another version than was refused."""
        chosen = self._chosen(endpoint)
        return isinstance(chosen, CohereKey) and not _same(chosen, refused)

    async def _renew(self) -> None:
        try:
            await self.renew()
        except Exception as error:  # whatever it is: the team goes on with what it has
            self.problem = f"the renewal failed: {type(error).__name__}"


def _same(key: CohereKey, other: CohereKey | None) -> bool:
    return other is not None and key.version == other.version

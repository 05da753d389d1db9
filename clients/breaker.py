"""Whether calls may be made with one version of a Cohere key, by what Cohere answered to others. Pure: the clock is
passed in.

A 401 refuses the version whole until a check finds it good: no call tries it. Of a 402, which refuses it whole too, and
of a 403, which refuses one endpoint, no check tells when they are over: one call every `TRIAL_S` finds out.
"""

import enum
from dataclasses import dataclass

TRIAL_S = 30.0
DOUBTED_S = 5.0
"""For how long no 401 is taken for the whole version's after a check that contradicted one."""


class Refusal(enum.IntEnum):
    """Why Cohere refuses a version, by its HTTP status."""

    REJECTED = 401
    UNPAID = 402
    FORBIDDEN = 403


@dataclass(slots=True)
class _Open:
    since_s: float
    trial_at_s: float
    """From when on the next call finds out; infinity: none does."""


class Breaker:
    """What stands against one version. Times are seconds of any clock that only goes forward."""

    __slots__ = ("_contradicted_s", "_open")

    def __init__(self) -> None:
        self._open: dict[tuple[Refusal, str], _Open] = {}
        self._contradicted_s = float("-inf")

    def refused(self, refusal: Refusal, endpoint: str, now_s: float) -> bool:
        """Cohere has refused an attempt; True if that opens what was closed."""
        place = _place(refusal, endpoint)
        known = self._open.get(place)
        trial_at_s = float("inf") if refusal is Refusal.REJECTED else now_s + TRIAL_S
        # A trial that failed is no new refusal. What was sent before stays older than the refusal.
        self._open[place] = _Open(known.since_s if known else now_s, trial_at_s)
        return known is None

    def taken(self, endpoint: str, begun_s: float) -> bool:
        """Cohere has taken an attempt that began at *begun_s*; True if that closes what was open."""
        return self._closed(Refusal.UNPAID, "", begun_s) | self._closed(Refusal.FORBIDDEN, endpoint, begun_s)

    def found_good(self, begun_s: float) -> bool:
        """A check that began at *begun_s* found the version good; True if that closes what was open."""
        closed = self._closed(Refusal.REJECTED, "", begun_s)
        if closed:
            self._contradicted_s = begun_s
        return closed

    def doubts(self, refusal: Refusal, now_s: float) -> bool:
        """Whether Cohere is of two minds: it refused a call, and found the version good a moment ago."""
        return refusal is Refusal.REJECTED and now_s < self._contradicted_s + DOUBTED_S

    def against(self, endpoint: str, now_s: float) -> Refusal | None:
        """What a call of that endpoint would be refused for now; None if it may be made."""
        for refusal in Refusal:
            standing = self._open.get(_place(refusal, endpoint))
            if standing is not None and now_s < standing.trial_at_s:
                return refusal
        return None

    def begin(self, endpoint: str, now_s: float) -> bool:
        """A call that may be made is made; True if it is to find out, and the next one is to wait for it."""
        trial = False
        for refusal in (Refusal.UNPAID, Refusal.FORBIDDEN):
            standing = self._open.get(_place(refusal, endpoint))
            if standing is not None:
                standing.trial_at_s = now_s + TRIAL_S
                trial = True
        return trial

    def unused(self, endpoint: str, now_s: float) -> None:
        """The call that was to find out was never sent: the next one is to."""
        for refusal in (Refusal.UNPAID, Refusal.FORBIDDEN):
            standing = self._open.get(_place(refusal, endpoint))
            if standing is not None:
                standing.trial_at_s = now_s

    def since_s(self, refusal: Refusal, endpoint: str = "") -> float | None:
        """Since when it is open for that, though a call may be due to find out; None if it is not."""
        standing = self._open.get(_place(refusal, endpoint))
        return None if standing is None else standing.since_s

    @property
    def forbidden_endpoints(self) -> list[str]:
        """Those that it is open for by a 403, by name."""
        return sorted(endpoint for refusal, endpoint in self._open if refusal is Refusal.FORBIDDEN)

    def _closed(self, refusal: Refusal, endpoint: str, begun_s: float) -> bool:
        place = _place(refusal, endpoint)
        standing = self._open.get(place)
        if standing is None or begun_s < standing.since_s:  # it was on its way already: it proves nothing
            return False
        del self._open[place]
        return True


def _place(refusal: Refusal, endpoint: str) -> tuple[Refusal, str]:
    return refusal, endpoint if refusal is Refusal.FORBIDDEN else ""

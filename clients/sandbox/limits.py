"""Cohere's published rate limits, counted per key, bucket and minute; enforced only when asked for.

Whether Cohere's minutes are fixed or sliding it does not say; both can be asked for.
"""

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from clients.sandbox.answer import Answer
from clients.sandbox.errors import CohereError
from clients.sandbox.keys import Key

MINUTE_S = 60.0
TRIAL_CALLS_PER_MONTH = 1000
TRIAL_EMBED_TOKENS_PER_MINUTE = 100_000
_TRIAL_LIKE = frozenset({
    "command-a-plus-05-2026", "command-a-reasoning-08-2025", "command-a-translate-08-2025",
    "command-a-vision-07-2025",
})  # fmt: skip


class Enforced(enum.StrEnum):
    """Whose limits are enforced."""

    NONE = "none"
    TRIAL = "trial"
    ALL = "all"


class Minutes(enum.StrEnum):
    """Which minutes hold no more than a limit."""

    FIXED = "fixed"
    """One after the other."""
    SLIDING = "sliding"
    """Each, wherever it begins."""


@dataclass(frozen=True, slots=True)
class _Demand:
    """What a request takes of one bucket, and the bucket's size per minute."""

    bucket: str
    amount: int
    trial_limit: int
    production_limit: int

    def limit(self, *, trial: bool) -> int:
        return self.trial_limit if trial else self.production_limit


class RateLimits:
    """Counts every request, and refuses those above a limit if that key's limits are enforced.

    Args:
        clock: Seconds, monotonic.
        minute_s: How long a minute is; shorter in tests.
    """

    def __init__(self, clock: Callable[[], float], minute_s: float = MINUTE_S) -> None:
        self._clock, self._minute_s = clock, minute_s
        self.reset()

    def reset(self) -> None:
        """Enforces nothing and forgets every count."""
        self._calls: dict[str, int] = {}
        self._begin(Minutes.FIXED)
        self.enforced = Enforced.NONE

    def enforce(self, enforced: Enforced, minutes: Minutes) -> None:
        """Enforces limits from now on; what came before counts as well, unless the kind of minutes is another one."""
        self.enforced = enforced
        if minutes is not self._minutes:
            self._begin(minutes)

    def _begin(self, minutes: Minutes) -> None:
        self._minutes, self._window = minutes, -1
        self._counted: deque[tuple[float, tuple[str, str], int]] = deque()
        self._used: dict[tuple[str, str], int] = {}

    def admit(self, key: Key, path: str, answer: Answer) -> None:
        """Counts a request.

        Raises:
            CohereError: 429 if it is above an enforced limit; it does not count then.
        """
        now_s = self._clock()
        self._forget(now_s)
        enforced = self.enforced is Enforced.ALL or (key.trial and self.enforced is Enforced.TRIAL)
        demands = _demands(path, answer)
        if enforced:
            self._check(key, demands, monthly=key.trial or answer.model in _TRIAL_LIKE)
        for demand in demands:
            place = key.name, demand.bucket
            self._used[place] = self._used.get(place, 0) + demand.amount
            if self._minutes is Minutes.SLIDING:
                self._counted.append((now_s, place, demand.amount))
        self._calls[key.name] = self._calls.get(key.name, 0) + 1

    def _forget(self, now_s: float) -> None:
        """What does not count any more."""
        if self._minutes is Minutes.SLIDING:
            while self._counted and self._counted[0][0] <= now_s - self._minute_s:
                _, place, amount = self._counted.popleft()
                self._used[place] -= amount
            return
        window = int(now_s // self._minute_s)
        if window != self._window:
            self._window, self._used = window, {}

    def headers(self, key: Key | None, path: str, answer: Answer) -> dict[str, str]:
        """The headers that only answers to trial keys carry."""
        if key is None or not key.trial:
            return {}
        demand = _demands(path, answer)[0]
        used = self._used.get((key.name, demand.bucket), 0)
        return {
            "x-endpoint-monthly-call-limit": str(TRIAL_CALLS_PER_MONTH),
            "x-trial-endpoint-call-limit": str(demand.trial_limit),
            "x-trial-endpoint-call-remaining": str(max(0, demand.trial_limit - used)),
        }

    def _check(self, key: Key, demands: list[_Demand], *, monthly: bool) -> None:
        kind = "a Trial key" if key.trial else "a Production key"
        if monthly and self._calls.get(key.name, 0) >= TRIAL_CALLS_PER_MONTH:
            limit = f"limited to {TRIAL_CALLS_PER_MONTH} API calls / month."
            raise CohereError(429, f"You are using {kind}, which is {limit}")
        for demand in demands:
            limit_of_bucket = demand.limit(trial=key.trial)
            if self._used.get((key.name, demand.bucket), 0) + demand.amount <= limit_of_bucket:
                continue
            if demand.bucket == "embed tokens":
                raise CohereError(429, f"trial token rate limit exceeded, limit is {limit_of_bucket} tokens per minute")
            what = "inputs" if demand.bucket.startswith("embed") else "API calls"
            raise CohereError(429, f"You are using {kind}, which is limited to {limit_of_bucket} {what} / minute.")


def _demands(path: str, answer: Answer) -> list[_Demand]:
    if path == "/v2/chat":
        return [_Demand(f"chat {answer.model}", 1, 20, 20 if answer.model in _TRIAL_LIKE else 500)]
    if path == "/v2/rerank":
        return [_Demand("rerank", 1, 10, 1000)]
    if path == "/v2/embed":
        unlimited = 10**12
        text_tokens = answer.billed_units.get("input_tokens", 0) + answer.billed_units.get("text_tokens", 0)
        return [
            _Demand("embed texts", answer.texts, 2000, 2000),
            _Demand("embed images", answer.images, 5, 400),
            _Demand("embed tokens", text_tokens, TRIAL_EMBED_TOKENS_PER_MINUTE, unlimited),
        ]
    return [_Demand("other", 1, 500, 500)]

"""Verified tokens, so that a signature is checked once a minute and not at every call."""

from collections import OrderedDict
from hashlib import sha256

from service.identity.tokens import Verified

KEPT_MAX_S = 60.0
TOKENS_MAX = 10_000


class TokenCache:
    """Remembers tokens by their SHA-256, the least recently used go first.

    Args:
        tokens_max: How many.
    """

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._tokens_max = tokens_max
        self._entries: OrderedDict[bytes, tuple[float, Verified]] = OrderedDict()
        self.age = 0
        """How often all was forgotten: what was verified before is not put after."""

    def get(self, token: str, now_s: float) -> Verified | None:
        """What a token says that was put not longer than `KEPT_MAX_S` ago and has not expired."""
        key = sha256(token.encode()).digest()
        entry = self._entries.get(key)
        if entry is None:
            return None
        until_s, verified = entry
        if now_s >= until_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return verified

    def put(self, token: str, verified: Verified, now_s: float, age: int) -> None:
        """Remembers a token whose verification began at *now_s* and in this *age*."""
        if age != self.age:
            return
        self._entries[sha256(token.encode()).digest()] = min(now_s + KEPT_MAX_S, verified.expires_at_s), verified
        if len(self._entries) > self._tokens_max:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forgets all: who may call has changed."""
        self._entries.clear()
        self.age += 1

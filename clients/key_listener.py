"""Who is told what becomes of a team's Cohere key, version by version."""

from typing import Protocol

from clients.breaker import Refusal


class KeyListener(Protocol):
    """Is told of one team's versions, by their numbers. MUST NOT raise, nor wait."""

    def refused(self, version: int, refusal: Refusal, endpoint: str) -> None:
        """Cohere refuses a version that it took until then; *endpoint* is "" unless it refuses that one alone."""

    def taken_again(self, version: int) -> None:
        """Cohere takes a version that it refused."""

    def survived(self, refused: int, survivor: int) -> None:
        """Cohere refuses the current version, and has taken a call with the previous one since."""


class NoListener:
    """Nobody listens."""

    def refused(self, version: int, refusal: Refusal, endpoint: str) -> None:
        """See `KeyListener`."""

    def taken_again(self, version: int) -> None:
        """See `KeyListener`."""

    def survived(self, refused: int, survivor: int) -> None:
        """See `KeyListener`."""

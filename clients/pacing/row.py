"""The row that all replicas share for one limit of one Cohere key: what may be asked of it, and how it is slowed. Pure.

It is passed in, for it lies in a database.
"""

from typing import NamedTuple, Protocol

FULL_PERMILLE, LEAST_PERMILLE = 1000, 50
SLOWER_NUMERATOR, SLOWER_DENOMINATOR = 4, 5
"""What a 429 leaves of the rate."""
SLOWED_ONCE_IN_US = 1_000_000
REGROWTH_US = 1_200_000
"""How long without a 429 one permille of the full rate takes to come back: a twentieth each minute."""


class Asked(NamedTuple):
    """A stretch of the limit's time, in microseconds."""

    wanted_us: int
    """How long it is at most."""
    ahead_us: int
    """How much of it lies at most after the present, or after its beginning if that is later."""
    back_us: int
    """It begins at most so much before the present."""
    patience_us: int
    """It begins at most so much after the present, or is not given. Not less than `-back_us`."""


class Taken(NamedTuple):
    """What the row gave and says, by the clock of its database, in microseconds since 1970."""

    start_us: int | None
    """Where the stretch begins; None if none was given."""
    next_us: int
    """Up to when turns are given out: where the stretch ends."""
    permille: int
    """How much of the full rate was used after the last 429."""
    slowed_at_us: int
    now_us: int


class PaceRow(Protocol):
    """The rows, each named by its scope."""

    async def take(self, scope: str, asked: Asked) -> Taken:
        """Takes a stretch behind all that were taken.

        Raises:
            PaceLost: The database does not answer.
        """
        ...

    async def slow(self, scope: str, rest_us: int) -> Taken:
        """Uses less of the rate from now on, unless that was done a moment ago, and gives out no turn for *rest_us*.

        Raises:
            PaceLost: The database does not answer.
        """
        ...


def permille_at(permille: int, slowed_at_us: int, now_us: int) -> int:
    """How much of the full rate may be used now."""
    return min(FULL_PERMILLE, permille + max(0, now_us - slowed_at_us) // REGROWTH_US)


def slower(permille: int) -> int:
    """What a 429 leaves of it."""
    return max(LEAST_PERMILLE, permille * SLOWER_NUMERATOR // SLOWER_DENOMINATOR)

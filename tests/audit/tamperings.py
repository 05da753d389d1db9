"""What people who should not have been there may have done to the books, and what has to be found of it.

Each tampering is a function that does it, with the finding that says what and where. All know how the books are made,
and leave no easy trace if they can help it; few have the signing key. They stand in `*_tamperings`.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from tests.audit.scene import Scene

FIRST, SECOND, THIRD, LAST = 0, 1, 2, 3
"""The writers: two that ended before the third checkpoint, one that the last checkpoint knows, one that none knows."""
CHECKPOINTS = 4


class Trace(NamedTuple):
    """What must be found."""

    kind: str
    where: str
    """Is a part of the finding's."""


Act: TypeAlias = Callable[[Scene], Awaitable[Trace]]
TAMPERINGS: dict[str, Act] = {}


def tampering(act: Act) -> Act:
    """Registers one under its name."""
    TAMPERINGS[act.__name__] = act
    return act


def flipped(value: bytes) -> bytes:
    """The same but for one bit."""
    return bytes([value[0] ^ 1, *value[1:]])

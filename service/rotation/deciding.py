"""What a replica does next, given the rows, what it has itself, and the clock. Pure."""

import enum
from collections.abc import Collection
from typing import NamedTuple

from service.rotation.history import NOT_TAKEN, SAYS_NOTHING, History, State, Version


class News(enum.Enum):
    """What a value in a source means."""

    NONE = enum.auto()
    """The database knows it, or it was not good: nothing is to be done."""
    FIRST = enum.auto()
    """The team has no version: it becomes one."""
    CHANGED = enum.auto()
    """Somebody has put another value there: it is rotated to."""


class Due(NamedTuple):
    """A step that is due of a rotation, whoever makes it."""

    to: State
    """RETIRED, DESTROYED, or CURRENT: its holder has left it, and somebody has to go on."""
    rotation_id: str


class InUse(NamedTuple):
    """Which versions a replica uses."""

    current: Version | None
    """None: it has no value that may be used."""
    previous: Version | None
    """What a refused call is tried on."""


# Of versions that Cohere once took for this team. What failed may be somebody else's key.
_USABLE = frozenset({State.CURRENT, State.PREVIOUS, State.RETIRED, State.DESTROYED})
# A single refusal may have rolled it back: who starts with nothing else asks Cohere again rather than refuse all calls.
_LAST_RESORT = frozenset({State.ROLLED_BACK})


def news(history: History, read: bytes, read_before: bytes | None) -> News:
    """Tells what to do about a value that a source holds.

    Args:
        history: The team's.
        read: The value's fingerprint.
        read_before: Of what this replica read in the same source before; None if it did not yet.
    """
    current = history.current
    known = history.latest_of(read)
    if current is None:
        refused = known is not None and not _may_be_tried(history, known)
        return News.NONE if refused or history.open is not None else News.FIRST
    if known is None:
        return News.CHANGED
    if known.state in NOT_TAKEN:
        return News.CHANGED if _may_be_tried(history, known) else News.NONE
    if known.state in {State.PREVIOUS, State.RETIRED, State.DESTROYED}:
        # A source that is late still holds what was there before; one that was set back had the present one.
        return News.CHANGED if read_before == current.fingerprint else News.NONE
    return News.NONE


def in_use(history: History, values: Collection[bytes], now_us: int) -> InUse:
    """Chooses among the values that a replica has.

    Args:
        history: The team's.
        values: The fingerprints of what it has.
        now_us: The database's time.
    """
    current = history.current
    fallback = history.fallback(now_us)
    if fallback is not None and fallback.fingerprint not in values:
        fallback = None
    if current is not None and current.fingerprint in values:
        return InUse(current, fallback)
    if fallback is not None:  # goes on with what it has, while Cohere takes it
        return InUse(fallback, None)
    for states in (_USABLE, _LAST_RESORT):
        usable = [each for each in history.versions if each.state in states and each.fingerprint in values]
        if usable:
            return InUse(usable[-1], None)
    return InUse(None, None)


def due(history: History, call_us_max: int, now_us: int) -> list[Due]:
    """The steps for which it is time.

    Args:
        history: The team's.
        call_us_max: See `machine.destroy`.
        now_us: The database's time.
    """
    found = []
    for each in history.rotations:
        previous = history.version(each.previous_version)
        if each.is_open and now_us >= each.lease_until_us:
            found.append(Due(State.CURRENT, each.id))
        elif each.state is State.CURRENT and previous is not None and previous is history.previous:
            if now_us >= previous.overlap_until_us:
                found.append(Due(State.RETIRED, each.id))
        elif each.state is State.RETIRED and now_us >= each.changed_at_us + call_us_max:
            found.append(Due(State.DESTROYED, each.id))
    return found


def _may_be_tried(history: History, version: Version) -> bool:
    rotation = history.rotation_to(version.version)
    return rotation is not None and rotation.state is State.FAILED and rotation.cause in SAYS_NOTHING

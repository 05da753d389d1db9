"""The counters of windows in the database: taking a chunk of a window's permits, or of its promises, and forgetting.

A chunk fills a process up to a sixteenth of what is left (of promises a quarter), or is what callers wait for if that
is more, or all that is left if that is less; and nothing if it would serve none of them. Each is one statement that
may run on any number of replicas at once. The limit is a parameter: what is in force now decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

from service.limits.windows import Window
from service.storage.database import Script, Step, Transaction, Value

PERMITS_SHARE = 16
PROMISES_SHARE = 4

_WIDTH = 2**31
"""Of the chunk in the number that a statement returns, which holds what is taken in all as well."""

_TAKE_PERMITS = """
INSERT INTO permit_window (scope, start_us, end_us, taken, granted) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (scope, start_us) DO UPDATE SET
  taken = permit_window.taken + CASE
    WHEN permit_window.taken + $5 > $6 THEN 0
    WHEN permit_window.taken + $7 > $6 THEN $6 - permit_window.taken
    WHEN ($6 - permit_window.taken) / 16 - $8 > $7 THEN ($6 - permit_window.taken) / 16 - $8
    ELSE $7 END,
  granted = CASE
    WHEN permit_window.taken + $5 > $6 THEN 0
    WHEN permit_window.taken + $7 > $6 THEN $6 - permit_window.taken
    WHEN ($6 - permit_window.taken) / 16 - $8 > $7 THEN ($6 - permit_window.taken) / 16 - $8
    ELSE $7 END
RETURNING taken * 2147483648 + granted"""
_TAKE_PROMISES = """
INSERT INTO permit_window (scope, start_us, end_us, promised, granted) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (scope, start_us) DO UPDATE SET
  promised = permit_window.promised + CASE
    WHEN permit_window.promised + $5 > $6 THEN 0
    WHEN permit_window.promised + $7 > $6 THEN $6 - permit_window.promised
    WHEN ($6 - permit_window.promised) / 4 - $8 > $7 THEN ($6 - permit_window.promised) / 4 - $8
    ELSE $7 END,
  granted = CASE
    WHEN permit_window.promised + $5 > $6 THEN 0
    WHEN permit_window.promised + $7 > $6 THEN $6 - permit_window.promised
    WHEN ($6 - permit_window.promised) / 4 - $8 > $7 THEN ($6 - permit_window.promised) / 4 - $8
    ELSE $7 END
RETURNING promised * 2147483648 + granted"""
_FORGET = "DELETE FROM permit_window WHERE end_us < clock_us() - 86400000000"

_PROMISED = """
SELECT CAST(COALESCE(SUM(promised), 0) AS BIGINT) FROM permit_window
WHERE scope = $1 AND start_us > $2 AND start_us < $3"""

TAKEN = "SELECT scope, taken FROM permit_window WHERE scope = $1 AND start_us = $2"


class Wanted(NamedTuple):
    """A chunk to be taken."""

    scope: str
    window: Window
    most: int
    """How many there are in the window."""
    least: int
    """What serves the one who waits for fewest; 0 if nobody waits."""
    wanted: int
    """What serves all who wait."""
    held: int
    """What the process has."""
    promises: bool
    """Of the window's promises, and not of its permits."""


class Chunk(NamedTuple):
    """What was taken."""

    permits: int
    taken: int
    """Of the window, by everybody."""


def take(wanted: Sequence[Wanted]) -> Script[list[Chunk]]:
    """Takes chunks in one transaction; gives them in the same order, which is that of their rows everywhere."""
    steps = [Step(_TAKE_PROMISES if each.promises else _TAKE_PERMITS, [_values(each)]) for each in wanted]
    return Script(steps, _chunks)


async def promised(tx: Transaction, scope: str, after_us: int, before_us: int) -> int:
    """What is promised of the windows that begin between two instants, be it told to anybody or held somewhere."""
    ((count,),) = await tx.fetch(_PROMISED, scope, after_us, before_us)
    return int(count)


async def taken(tx: Transaction, scope: str, start_us: int) -> int:
    """What everybody has taken of a window."""
    rows = await tx.fetch(TAKEN, scope, start_us)
    return int(rows[0][1]) if rows else 0


def forget() -> Script[None]:
    """Deletes the windows that have been over for a day."""
    return Script([Step(_FORGET, [()])], lambda _: None)


def _values(each: Wanted) -> tuple[Value, ...]:
    window, share = each.window, PROMISES_SHARE if each.promises else PERMITS_SHARE
    first = 0 if each.least > each.most else min(each.most, max(each.wanted, each.most // share - each.held))
    return each.scope, window.start_us, window.end_us, first, each.least, each.most, each.wanted, each.held


def _chunks(numbers: Sequence[int]) -> list[Chunk]:
    return [Chunk(number % _WIDTH, number // _WIDTH) for number in numbers]

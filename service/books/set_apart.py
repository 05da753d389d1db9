"""Entries that cannot be written now though others can: they are tried again later, and keep nobody else waiting."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence

import structlog

from service.books.entries import Entry

STUCK_RETRY_S = 0.25
QUARANTINE_RETRY_S = 10.0
STUCK_LOCK_TIMEOUT_S = 0.02
"""What a batch waits for a row that was locked the last time: others wait behind it."""
LOCKED = "the budget is locked"

_log = structlog.get_logger()


class SetApart:
    """Of a budget whose row is locked by a stopped replica, and of entries that fail even alone.

    Args:
        again: Told when something is due, with what is to be queued like anything else.
    """

    def __init__(self, again: Callable[[Sequence[Entry]], None]) -> None:
        self._again = again
        self._locked: dict[str, list[Entry]] = {}
        self._suspects: set[str] = set()
        self._due: list[str] = []
        self._quarantined: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        return itertools.chain(*self._locked.values(), self._quarantined)

    @property
    def is_due(self) -> bool:
        """There are entries to be tried again by themselves."""
        return bool(self._due)

    def is_locked(self, team: str) -> bool:
        """Nothing of the team is to be tried now."""
        return team in self._locked

    def is_suspect(self, team: str) -> bool:
        """Its budget was locked the last time: it is tried by itself, and briefly, for others would wait as well."""
        return team in self._suspects

    def clear(self, entries: Sequence[Entry]) -> None:
        """The budgets of *entries* are not locked any more, for these are written."""
        if self._suspects:
            self._suspects.difference_update(entry.team for entry in entries)

    def lock(self, entry: Entry) -> None:
        """Leaves an entry out for now: what ended upstream is tried again soon, anything else fails."""
        if entry.team not in self._locked:
            self._locked[entry.team] = []
            self._suspects.add(entry.team)
            asyncio.get_running_loop().call_later(STUCK_RETRY_S, self._fall_due, entry.team)
        if entry.is_kept:
            self._locked[entry.team].append(entry)
        else:
            entry.refuse(LOCKED)

    def take_due(self) -> list[Entry]:
        """What is to be tried again by itself."""
        return self._locked.pop(self._due.pop())

    def quarantine(self, entry: Entry, error: Exception) -> None:
        """An entry that cannot be written even alone: it must not keep the others from it."""
        _log.error("entry not written", entry=type(entry).__name__, team=entry.team, exc_info=error)
        entry.refuse("a record could not be written")
        if entry.is_kept:
            self._quarantined.append(entry)
            asyncio.get_running_loop().call_later(QUARANTINE_RETRY_S, self._release, entry)

    def _fall_due(self, team: str) -> None:
        self._due.append(team)
        self._again(())

    def _release(self, entry: Entry) -> None:
        self._quarantined.remove(entry)
        self._again((entry,))

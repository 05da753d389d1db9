"""What a verification finds: contradictions, each with its place, and what could not be checked."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

INTACT, BROKEN, INCOMPLETE = 0, 1, 2
"""Exit codes: all was checked and holds; something does not hold; nothing contradicts, but not all was checked."""

TOLD_MAX = 1000
"""Findings that are told one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that cannot be if nobody touched the books."""

    kind: str
    """What is wrong, as one word of a small set, such as `record_missing`."""
    where: str
    """Its place, such as `writer 5f0c…/17`, `hold 01JD…/1` or `checkpoint 12`."""
    what: str
    """The contradiction, in words."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.kind}]"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class Report:
    """Collects findings; tells them as they are found, so that memory does not grow with them.

    Attributes:
        told: Called with each finding, at most `TOLD_MAX` times.
        found: How many of each kind.
        unchecked: What was not checked, and why.
        counted: What was looked at.
    """

    told: Callable[[Finding], object]
    found: Counter[str] = field(default_factory=Counter)
    unchecked: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def broken(self, kind: str, where: str, what: str) -> None:
        """Something does not hold."""
        if self.found.total() < TOLD_MAX:
            self.told(Finding(kind, where, what))
        self.found[kind] += 1

    def incomplete(self, what: str) -> None:
        """Something was not checked; said once."""
        if what not in self.unchecked:
            self.unchecked.append(what)

    @property
    def exit_code(self) -> int:
        """`INTACT`, `BROKEN` or `INCOMPLETE`."""
        if self.found:
            return BROKEN
        return INCOMPLETE if self.unchecked else INTACT

"""How waits are spread: what half of them stay within, and what all do but one in a hundred."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Two of the values that were measured, in milliseconds."""

    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, took_s: Sequence[float]) -> "Spread":
        """Of at least one measurement, in seconds: the smallest values that so many of them do not exceed."""
        ordered = sorted(took_s)
        p50_s, p99_s = (ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 99))
        return cls(p50_s * 1000, p99_s * 1000)

"""What one record adds to the rollups."""

from dataclasses import dataclass
from typing import NamedTuple

from service.books.period import Period

QUARTER_US = 15 * 60 * 1_000_000
"""The rollups' finest step: every zone in use has its days begin on a quarter hour."""

UNITS = (
    "input_tokens",
    "output_tokens",
    "search_units",
    "images",
    "image_tokens",
    "text_tokens",
    "classifications",
    "pages",
)
"""Billed units, in the order of the rollups' columns."""


class Units(NamedTuple):
    """Billed units as whole numbers, in the order of `UNITS`."""

    input_tokens: int = 0
    output_tokens: int = 0
    search_units: int = 0
    images: int = 0
    image_tokens: int = 0
    text_tokens: int = 0
    classifications: int = 0
    pages: int = 0


NOTHING = Units()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a record counts for, and under which names."""

    endpoint: str
    model: str
    credential_id: str
    reason: str
    """How the call ended if this is its last record: "" for OK, else its reason, or its code where it has none."""
    calls: int
    """1 if this is the call's last record, else 0."""
    attempts: int
    """1 for an outcome, else 0."""
    units: Units = NOTHING


def quarter_of(at_us: int, day: Period) -> int:
    """The start of the quarter hour of *at_us*, kept inside *day*, so that a day is the sum of its quarters.

    Args:
        at_us: When the attempt was admitted, or the answer recorded; µs since the epoch.
        day: The budget's day that it counts for.
    """
    quarter_us = at_us - at_us % QUARTER_US
    return max(day.start_us, min(quarter_us, day.end_us - QUARTER_US))

"""Usage summed up as it happens, per budget day and per quarter hour, in the transaction of its records.

Each record counts in one row of either table, under the same day, so a day is exactly the sum of its quarters.
"""

from collections.abc import Iterable
from operator import add
from typing import NamedTuple

from service.books.period import Period
from service.books.usage import Usage, quarter_of
from service.storage.database import Step, Transaction

_DAY = """
INSERT INTO usage_day AS u (team, day_start_us, day_end_us, endpoint, model, credential_id, reason,
  calls, attempts, cost_nanos, input_tokens, output_tokens, search_units, images, image_tokens, text_tokens,
  classifications, pages)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (team, day_start_us, endpoint, model, credential_id, reason) DO UPDATE SET
  calls = u.calls + excluded.calls, attempts = u.attempts + excluded.attempts,
  cost_nanos = u.cost_nanos + excluded.cost_nanos, input_tokens = u.input_tokens + excluded.input_tokens,
  output_tokens = u.output_tokens + excluded.output_tokens, search_units = u.search_units + excluded.search_units,
  images = u.images + excluded.images, image_tokens = u.image_tokens + excluded.image_tokens,
  text_tokens = u.text_tokens + excluded.text_tokens, classifications = u.classifications + excluded.classifications,
  pages = u.pages + excluded.pages"""
_QUARTER = """
INSERT INTO usage_quarter AS u (team, quarter_start_us, day_start_us, day_end_us, endpoint, model, credential_id,
  reason, calls, attempts, cost_nanos, input_tokens, output_tokens, search_units, images, image_tokens, text_tokens,
  classifications, pages)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT (team, quarter_start_us, day_start_us, endpoint, model, credential_id, reason) DO UPDATE SET
  calls = u.calls + excluded.calls, attempts = u.attempts + excluded.attempts,
  cost_nanos = u.cost_nanos + excluded.cost_nanos, input_tokens = u.input_tokens + excluded.input_tokens,
  output_tokens = u.output_tokens + excluded.output_tokens, search_units = u.search_units + excluded.search_units,
  images = u.images + excluded.images, image_tokens = u.image_tokens + excluded.image_tokens,
  text_tokens = u.text_tokens + excluded.text_tokens, classifications = u.classifications + excluded.classifications,
  pages = u.pages + excluded.pages"""


class Counted(NamedTuple):
    """One record's part in the rollups."""

    team: str
    usage: Usage
    cost_nanos: int
    """What was charged; 0 while it is not known."""
    at_us: int
    """When the attempt was admitted, or the answer recorded."""
    day: Period
    """The budget's day that it counts for."""


async def count(tx: Transaction, counted: Iterable[Counted]) -> None:
    """Adds records to both tables."""
    for step in count_steps(counted):
        await tx.execute_each(*step)


def count_steps(counted: Iterable[Counted]) -> list[Step]:
    """What `count` does; rows are touched in the order of their keys, the same on every replica."""
    sums: dict[tuple[str | int, ...], tuple[int, ...]] = {}
    for team, usage, cost_nanos, at_us, day in counted:
        names = (usage.endpoint, usage.model, usage.credential_id, usage.reason)
        key = (team, quarter_of(at_us, day), day.start_us, day.end_us, *names)
        measures = (usage.calls, usage.attempts, cost_nanos, *usage.units)
        before = sums.get(key)
        sums[key] = measures if before is None else tuple(map(add, before, measures))
    if not sums:
        return []
    quarters = sorted(key + measures for key, measures in sums.items())
    return [Step(_QUARTER, quarters), Step(_DAY, _days(quarters))]


def _days(quarters: list[tuple[str | int, ...]]) -> list[tuple[str | int, ...]]:
    if len(quarters) == 1:
        only = quarters[0]
        return [(only[0], *only[2:])]
    sums: dict[tuple[str | int, ...], tuple[int, ...]] = {}
    for row in quarters:
        key, measures = (row[0], *row[2:8]), row[8:]
        before = sums.get(key)
        sums[key] = measures if before is None else tuple(map(add, before, measures))  # type: ignore[assignment]
    return sorted(key + measures for key, measures in sums.items())

"""The tables of the books as whoever checks or exports them reads them: page by page, as rows of plain values."""

from dataclasses import dataclass
from typing import NamedTuple

from service.storage.database import Row, Value

TIME_MIN_US, TIME_MAX_US = -(2**63), 2**63 - 1

_FIRST_INT, _FIRST_TEXT = TIME_MIN_US, ""


@dataclass(frozen=True, slots=True)
class Section:
    """One table, as rows of plain values.

    Attributes:
        name: What a line of it is called in an export.
        columns: Their names there and here.
        types: What the rows may hold; a database that was tampered with may hold anything.
        page: The statement that reads a page: after a key, in a window, at most so many rows, from an offset.
        first: A key before every key.
        key: The columns of the key, as places in a row.
        bounds: How many values of a `Window` the statement takes; with 0 the section is none of a part of the books.
    """

    name: str
    columns: tuple[str, ...]
    types: frozenset[tuple[type, ...]]
    page: str
    first: tuple[Value, ...]
    key: tuple[int, ...]
    bounds: int

    def holds(self, row: Row) -> bool:
        """Whether a row is one that the service writes, by its types."""
        return tuple(map(type, row)) in self.types


class Window(NamedTuple):
    """A part of the books."""

    start_us: int = TIME_MIN_US
    end_us: int = TIME_MAX_US
    team: str = ""
    """"" for all."""

    @property
    def is_all(self) -> bool:
        """Nothing is left out."""
        return self == ALL


ALL = Window()

_NULL = type(None)

CHECKPOINTS = Section(
    "checkpoint",
    ("number", "at_us", "body", "hash", "signature"),
    frozenset({(int, int, str, bytes, bytes)}),
    """
SELECT number, at_us, body, hash, signature FROM checkpoint
WHERE (number, at_us) > ($1, $2) AND at_us >= $3 AND at_us < $4
ORDER BY number, at_us LIMIT $5 OFFSET $6""",
    (_FIRST_INT, _FIRST_INT),
    (0, 1),
    bounds=2,
)
WRITERS = Section(
    "writer",
    ("writer_id", "started_at_us", "head_seq", "head_hash", "intents", "outcomes", "answers", "notices"),
    frozenset({(str, int, int, bytes, int, int, int, int)}),
    """
SELECT writer_id, started_at_us, head_seq, head_hash, intents, outcomes, answers, notices FROM audit_writer
WHERE (writer_id, started_at_us) > ($1, $2)
ORDER BY writer_id, started_at_us LIMIT $3 OFFSET $4""",
    (_FIRST_TEXT, _FIRST_INT),
    (0, 1),
    bounds=0,
)
PERIODS = Section(
    "period",
    ("budget_id", "period_start_us", "period_end_us", "committed_nanos", "frozen"),
    frozenset({(str, int, int, int, int)}),
    """
SELECT budget_id, period_start_us, period_end_us, committed_nanos, frozen FROM budget_period
WHERE (budget_id, period_start_us) > ($1, $2) AND period_end_us > $3 AND period_start_us < $4
  AND ($5 = '' OR budget_id = $5)
ORDER BY budget_id, period_start_us LIMIT $6 OFFSET $7""",
    (_FIRST_TEXT, _FIRST_INT),
    (0, 1),
    bounds=3,
)
BUDGETS = Section(
    "budget",
    ("budget_id", "frozen_at_us"),
    frozenset({(str, int)}),
    """
SELECT budget_id, frozen_at_us FROM budget WHERE (budget_id, frozen_at_us) > ($1, $2)
ORDER BY budget_id, frozen_at_us LIMIT $3 OFFSET $4""",
    (_FIRST_TEXT, _FIRST_INT),
    (0, 1),
    bounds=0,
)
PRICES = Section(
    "price_book",
    ("version", "at_us", "body"),
    frozenset({(str, int, str)}),
    """
SELECT version, at_us, body FROM price_book WHERE (version, at_us) > ($1, $2)
ORDER BY version, at_us LIMIT $3 OFFSET $4""",
    (_FIRST_TEXT, _FIRST_INT),
    (0, 1),
    bounds=0,
)
HOLDS = Section(
    "hold",
    ("call_id", "attempt", "budget_id", "period_start_us", "hold_nanos", "charge_nanos", "has_outcome", "state",
     "price_version", "at_us", "endpoint", "model", "credential_id"),
    frozenset({
        (str, int, str, int, int, int, int, str, str, int, str, str, str),
        (str, int, str, int, int, _NULL, int, str, str, int, str, str, str),
    }),
    """
SELECT call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome, state, price_version,
  at_us, endpoint, model, credential_id FROM call_hold
WHERE (call_id, attempt) > ($1, $2) AND at_us >= $3 AND at_us < $4 AND ($5 = '' OR budget_id = $5)
ORDER BY call_id, attempt LIMIT $6 OFFSET $7""",
    (_FIRST_TEXT, 0),
    (0, 1),
    bounds=3,
)  # fmt: skip
ADJUSTS = Section(
    "adjust",
    ("adjust_id", "budget_id", "period_start_us", "amount_nanos", "at_us", "principal", "note"),
    frozenset({(str, str, int, int, int, str, str)}),
    """
SELECT adjust_id, budget_id, period_start_us, amount_nanos, at_us, principal, note FROM budget_adjust
WHERE (adjust_id, at_us) > ($1, $2) AND at_us >= $3 AND at_us < $4 AND ($5 = '' OR budget_id = $5)
ORDER BY adjust_id, at_us LIMIT $6 OFFSET $7""",
    (_FIRST_TEXT, _FIRST_INT),
    (0, 4),
    bounds=3,
)
QUARTERS = Section(
    "quarter",
    ("team", "quarter_start_us", "day_start_us", "day_end_us", "endpoint", "model", "credential_id", "reason",
     "calls", "attempts", "cost_nanos", "input_tokens", "output_tokens", "search_units", "images", "image_tokens",
     "text_tokens", "classifications", "pages"),
    frozenset({(str, int, int, int, str, str, str, str, *[int] * 11)}),
    """
SELECT team, quarter_start_us, day_start_us, day_end_us, endpoint, model, credential_id, reason, calls, attempts,
  cost_nanos, input_tokens, output_tokens, search_units, images, image_tokens, text_tokens, classifications, pages
FROM usage_quarter
WHERE (team, quarter_start_us, day_start_us, endpoint, model, credential_id, reason) > ($1, $2, $3, $4, $5, $6, $7)
  AND quarter_start_us >= $8 AND quarter_start_us < $9 AND ($10 = '' OR team = $10)
ORDER BY team, quarter_start_us, day_start_us, endpoint, model, credential_id, reason LIMIT $11 OFFSET $12""",
    (_FIRST_TEXT, _FIRST_INT, _FIRST_INT, "", "", "", ""),
    (0, 1, 2, 4, 5, 6, 7),
    bounds=3,
)  # fmt: skip
DAYS = Section(
    "day",
    ("team", "day_start_us", "day_end_us", "endpoint", "model", "credential_id", "reason",
     "calls", "attempts", "cost_nanos", "input_tokens", "output_tokens", "search_units", "images", "image_tokens",
     "text_tokens", "classifications", "pages"),
    frozenset({(str, int, int, str, str, str, str, *[int] * 11)}),
    """
SELECT team, day_start_us, day_end_us, endpoint, model, credential_id, reason, calls, attempts, cost_nanos,
  input_tokens, output_tokens, search_units, images, image_tokens, text_tokens, classifications, pages
FROM usage_day
WHERE (team, day_start_us, reason, endpoint, model, credential_id) > ($1, $2, $3, $4, $5, $6)
  AND day_start_us >= $7 AND day_start_us < $8 AND ($9 = '' OR team = $9)
ORDER BY team, day_start_us, reason, endpoint, model, credential_id LIMIT $10 OFFSET $11""",
    (_FIRST_TEXT, _FIRST_INT, "", "", "", ""),
    (0, 1, 6, 3, 4, 5),
    bounds=3,
)  # fmt: skip
RECORDS = Section(
    "record",
    ("writer_id", "seq", "kind", "call_id", "team", "at_us", "body", "hash"),
    frozenset({(str, int, str, str, str, int, str, bytes)}),
    """
SELECT writer_id, seq, kind, call_id, team, at_us, body, hash FROM audit
WHERE writer_id = $1 AND (seq, at_us) > ($2, $3)
ORDER BY seq, at_us LIMIT $4 OFFSET $5""",
    (_FIRST_INT, _FIRST_INT),
    (1, 5),
    bounds=0,
)
RECORDS_OF_WINDOW = Section(
    "record",
    (*RECORDS.columns, "before"),
    frozenset({(str, int, str, str, str, int, str, bytes, bytes), (str, int, str, str, str, int, str, bytes, _NULL)}),
    """
SELECT a.writer_id, a.seq, a.kind, a.call_id, a.team, a.at_us, a.body, a.hash, p.hash
FROM audit AS a LEFT JOIN audit AS p ON p.writer_id = a.writer_id AND p.seq = a.seq - 1
WHERE a.writer_id = $1 AND (a.seq, a.at_us) > ($2, $3)
  AND a.at_us >= $4 AND a.at_us < $5 AND ($6 = '' OR a.team = $6)
ORDER BY a.seq, a.at_us LIMIT $7 OFFSET $8""",
    (_FIRST_INT, _FIRST_INT),
    (1, 5),
    bounds=3,
)


BEFORE_RECORDS = (CHECKPOINTS, WRITERS, PERIODS, BUDGETS, PRICES)
"""What records are checked against."""
AFTER_RECORDS = (HOLDS, ADJUSTS, QUARTERS, DAYS)

"""An invoice export, and what it says otherwise than the books. Pure.

A CSV whose first line names the columns, in any order:

day       YYYY-MM-DD
model     as Cohere names it
unit      what is billed, by its name in BilledUnits, such as input_tokens
units     how many, a whole number
cost_usd  what these units cost, US dollars
"""

import csv
import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from service.money import nanos_of_usd

COLUMNS = ("day", "model", "unit", "units", "cost_usd")


class InvoiceError(Exception):
    """The file is no invoice export. `problems` holds every finding, with its line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(slots=True)
class Bill:
    """What one model's calls of one day used and cost."""

    cost_nanos: int = 0
    units: dict[str, int] = field(default_factory=dict)
    unresolved: int = 0
    """Attempts whose bill is not known."""
    unresolved_nanos: int = 0
    """What they can have cost at most."""


Bills = Mapping[tuple[datetime.date, str], Bill]


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that the books and the invoice do not agree on."""

    day: datetime.date
    model: str
    what: str
    """`cost`, or the name of a unit."""
    books: int
    invoice: int
    explained: bool
    """The invoice says more, and not more than the unresolved attempts can have cost."""


def invoice_of(lines: Iterable[str], units: Iterable[str]) -> Bills:
    """Reads an invoice export.

    Args:
        lines: Of the file.
        units: The names that a unit can have.

    Raises:
        InvoiceError: With every problem found.
    """
    reader = csv.DictReader(lines, skipinitialspace=True)
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InvoiceError([f"line 1: no column {', '.join(missing)}"])
    bills: defaultdict[tuple[datetime.date, str], Bill] = defaultdict(Bill)
    problems: list[str] = []
    for row in reader:
        try:
            _add(bills, {name: (row[name] or "").strip() for name in COLUMNS}, frozenset(units))
        except ValueError as error:
            problems.append(f"line {reader.line_num}: {error}")
    if problems:
        raise InvoiceError(problems)
    return dict(bills)


def differences(books: Bills, invoice: Bills, tolerance_nanos: int = 0) -> list[Difference]:
    """Everything that differs, by day, then by model.

    Args:
        books: What the books say.
        invoice: What Cohere says.
        tolerance_nanos: By how much a cost may differ, as where an invoice is rounded to cents.
    """
    found = []
    for day, model in sorted({*books, *invoice}):
        ours, theirs = books.get((day, model), Bill()), invoice.get((day, model), Bill())
        missing_nanos = theirs.cost_nanos - ours.cost_nanos
        if abs(missing_nanos) > tolerance_nanos:
            explained = 0 < missing_nanos <= ours.unresolved_nanos + tolerance_nanos
            found.append(Difference(day, model, "cost", ours.cost_nanos, theirs.cost_nanos, explained))
        for unit in sorted({*ours.units, *theirs.units}):
            counted, billed = ours.units.get(unit, 0), theirs.units.get(unit, 0)
            if counted != billed:
                explained = billed > counted and ours.unresolved > 0
                found.append(Difference(day, model, unit, counted, billed, explained))
    return found


def _add(bills: defaultdict[tuple[datetime.date, str], Bill], row: dict[str, str], units: frozenset[str]) -> None:
    try:
        day = datetime.date.fromisoformat(row["day"])
    except ValueError:
        raise ValueError("day is none, such as 2026-11-21") from None
    if not row["model"]:
        raise ValueError("model is empty")
    if row["unit"] not in units:
        raise ValueError(f"unit is none of {', '.join(sorted(units))}")
    if not (row["units"].isascii() and row["units"].isdecimal()):
        raise ValueError("units is no whole number")
    try:
        cost_nanos = nanos_of_usd(Decimal(row["cost_usd"]))
    except (InvalidOperation, ValueError):
        raise ValueError("cost_usd is no amount such as 12.50") from None
    bill = bills[day, row["model"]]
    bill.cost_nanos += cost_nanos
    bill.units[row["unit"]] = bill.units.get(row["unit"], 0) + int(row["units"])

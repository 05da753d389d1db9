"""`cohort usage reconcile`: compares the books with an invoice export, day by day and model by model."""

import argparse
import datetime
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cohort.v1.get_usage_pb2 import BilledCounts, GetUsageRequest, UsageDimension
from service.cli import calling
from service.cli.amounts import dollars
from service.cli.commands import FAILED, NOT_STARTED, CommandFailed
from service.cli.invoice import COLUMNS, Bill, Bills, Difference, InvoiceError, differences, invoice_of
from service.cli.printing import show
from service.cli.table import table
from service.cli.times import timestamp
from service.cli.usage_pages import add_whose, whole
from service.money import money_of, nanos_of, nanos_of_usd

UNITS = tuple(field.name for field in BilledCounts.DESCRIPTOR.fields)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help=f"a CSV with the columns {', '.join(COLUMNS)}")
    add_whose(parser)
    parser.add_argument(
        "--zone", type=_zone, default="UTC", metavar="NAME", help="whose days the invoice has (default: %(default)s)"
    )
    parser.add_argument(
        "--tolerance-usd",
        type=_nanos,
        default="0",
        dest="tolerance_nanos",
        metavar="USD",
        help="by how much a cost may differ, such as 0.01 where the invoice has whole cents (default: %(default)s)",
    )
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{name} is no time zone such as Europe/Berlin") from None


def _nanos(text: str) -> int:
    try:
        return nanos_of_usd(Decimal(text))
    except (InvalidOperation, ValueError):
        raise argparse.ArgumentTypeError(f"{text} is no amount such as 0.01") from None


def _run(arguments: argparse.Namespace) -> int:
    invoice = _invoice(arguments.file)
    with calling.caller(arguments) as caller:
        books = _books(caller, arguments, sorted({day for day, _ in invoice}))
    found = differences(books, invoice, arguments.tolerance_nanos)
    if found:
        show(f"{_differences_table(found)}\n")
    show(_unresolved_text(books))
    if found:
        show(f"differences: {len(found)}\n")
        return FAILED
    show(f"{arguments.file} and the books agree; models and days compared: {len(invoice)}\n")
    return 0


def _invoice(file: Path) -> Bills:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            invoice = invoice_of(lines, UNITS)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file}: {error}", NOT_STARTED) from None
    except InvoiceError as error:
        raise CommandFailed("\n".join(f"{file}: {problem}" for problem in error.problems), NOT_STARTED) from None
    if not invoice:
        raise CommandFailed(f"{file}: no line of an invoice", NOT_STARTED)
    return invoice


def _books(caller: calling.Caller, arguments: argparse.Namespace, days: Sequence[datetime.date]) -> Bills:
    """The invoice's days, one by one: the budget's days may be those of another time zone."""
    bills: dict[tuple[datetime.date, str], Bill] = {}
    day = days[0]
    while day <= days[-1]:
        after = day + datetime.timedelta(days=1)
        request = GetUsageRequest(
            team=arguments.team,
            all_teams=arguments.all_teams,
            start_time=timestamp(datetime.datetime.combine(day, datetime.time()), arguments.zone),
            end_time=timestamp(datetime.datetime.combine(after, datetime.time()), arguments.zone),
            group_by=[UsageDimension.USAGE_DIMENSION_MODEL],
        )
        for row in whole(caller, request).rows:
            unresolved = row.figures.unresolved
            bill = Bill(
                nanos_of(row.figures.cost),
                {field.name: count for field, count in row.figures.billed_units.ListFields()},
                unresolved.open + unresolved.forfeited,
                nanos_of(unresolved.open_hold) + nanos_of(unresolved.forfeited_hold),
            )
            if bill != Bill():
                bills[day, row.model] = bill
        day = after
    return bills


def _differences_table(found: Sequence[Difference]) -> str:
    rows = []
    for each in found:
        numbers = (each.books, each.invoice, each.invoice - each.books)
        cells = [[dollars(money_of(number)) if each.what == "cost" else f"{number:,}"] for number in numbers]
        note = "perhaps the unresolved" if each.explained else ""
        rows.append([[each.day.isoformat()], [each.model], [each.what], *cells, [note]])
    columns = ("DAY", "MODEL", "WHAT", "BOOKS", "INVOICE", "INVOICE - BOOKS", "")
    return table(columns, rows, right=columns[3:6])


def _unresolved_text(books: Bills) -> str:
    rows = [
        [[day.isoformat()], [model], [f"{bill.unresolved:,}"], [dollars(money_of(bill.unresolved_nanos))]]
        for (day, model), bill in sorted(books.items())
        if bill.unresolved
    ]
    if not rows:
        return ""
    columns = ("DAY", "MODEL", "UNRESOLVED", "AT MOST")
    return f"\n{table(columns, rows, right=columns[2:])}\n\n"

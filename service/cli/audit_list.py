"""`cohort audit list`: records of the audit trail, as a table or as lines of JSON."""

import argparse

from service.cli import calling
from service.cli.audit_records import add_which, as_line, as_table, pages, request_of, set_window
from service.cli.printing import show
from service.cli.times import written

RECORDS_DEFAULT = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_which(parser)
    parser.add_argument(
        "--from",
        type=written,
        dest="from_time",
        metavar="TIME",
        help="from this day or time on, in UTC unless it names another zone, such as 2026-11-21T09:15+01:00",
    )
    parser.add_argument("--to", type=written, dest="to_time", metavar="TIME", help="before this day or time")
    parser.add_argument("--newest-first", action="store_true", help="begin with the newest record")
    parser.add_argument(
        "--records-max",
        type=_count,
        default=RECORDS_DEFAULT,
        metavar="N",
        help="at most so many (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print each record as a line of JSON, with its body and hash"
    )
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of records")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    request.newest_first = arguments.newest_first
    set_window(request, arguments.from_time, arguments.to_time)
    with calling.caller(arguments) as caller:
        found = pages(caller, request, arguments.records_max)
        if arguments.json:
            for page in found:
                show("".join(map(as_line, page)))
        else:
            show(f"{as_table(record for page in found for record in page)}\n")
    return 0

"""`cohort usage`: what teams have consumed and what it cost, as a table with bars, as JSON, or as CSV."""

import argparse

from cohort.v1.get_usage_pb2 import GetUsageRequest, UsageDimension
from service.cli import calling
from service.cli.commands import Command, add_commands
from service.cli.printing import show
from service.cli.requests import as_json_line
from service.cli.times import UTC, timestamp, written
from service.cli.usage_csv import usage_csv
from service.cli.usage_pages import add_whose, budget_zone, whole
from service.cli.usage_text import usage_text

DIMENSIONS = {
    name.removeprefix("USAGE_DIMENSION_").lower().replace("_", "-"): value
    for name, value in UsageDimension.items()
    if value
}
COMMANDS = (
    Command(
        "reconcile", "service.cli.usage_reconcile", "Compare the usage with an invoice, day by day and model by model."
    ),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments, and its commands."""
    add_whose(parser)
    parser.add_argument(
        "--from",
        type=written,
        dest="from_time",
        metavar="TIME",
        help="where the window begins, such as 2026-11-21 or 2026-11-21T09:15 in the budget's time zone, or with"
        " a zone of its own as in 2026-11-21T09:15Z; on a quarter of an hour (default: where today begins)",
    )
    parser.add_argument(
        "--to",
        type=written,
        dest="to_time",
        metavar="TIME",
        help="where it ends, so that this time is outside (default: where today ends)",
    )
    parser.add_argument(
        "--group-by",
        type=_dimensions,
        default="model",
        metavar="D,D",
        help=f"what has a row of its own: any of {', '.join(DIMENSIONS)}; or none (default: %(default)s)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the whole GetUsageResponse, on one line")
    form.add_argument("--csv", action="store_true", help="print the rows, for a spreadsheet")
    calling.add_target(parser)
    add_commands(parser, COMMANDS, optional=True)
    parser.set_defaults(run=_run)


def _dimensions(text: str) -> list[UsageDimension.ValueType]:
    names = [] if text == "none" else text.split(",")
    unknown = [name for name in names if name not in DIMENSIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"nothing is grouped by {', '.join(unknown)}: choose {', '.join(DIMENSIONS)}")
    return [DIMENSIONS[name] for name in names]


def _run(arguments: argparse.Namespace) -> int:
    request = GetUsageRequest(team=arguments.team, all_teams=arguments.all_teams, group_by=arguments.group_by)
    with calling.caller(arguments) as caller:
        _set_window(request, caller, arguments)
        usage = whole(caller, request)
    if arguments.json:
        show(f"{as_json_line(usage)}\n")
    elif arguments.csv:
        show(usage_csv(usage))
    else:
        show(usage_text(usage, list(request.group_by)))
    return 0


def _set_window(request: GetUsageRequest, caller: calling.Caller, arguments: argparse.Namespace) -> None:
    given = {"start_time": arguments.from_time, "end_time": arguments.to_time}
    moments = {name: moment for name, moment in given.items() if moment is not None}
    # Only the service knows the budget's time zone; it is asked where that matters.
    local = any(moment.tzinfo is None for moment in moments.values())
    zone = budget_zone(whole(caller, GetUsageRequest(team=request.team, all_teams=request.all_teams))) if local else UTC
    for name, moment in moments.items():
        getattr(request, name).CopyFrom(timestamp(moment, zone))

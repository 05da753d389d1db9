"""`cohort budget adjust`: charges an amount to a team's budget, or gives it back, once."""

import argparse
import uuid
from decimal import Decimal, InvalidOperation

from cohort.v1.budget_pb2 import AdjustBudgetRequest
from service.cli import calling
from service.cli.budget_table import budget_table
from service.cli.commands import CommandFailed
from service.cli.printing import show
from service.cli.times import day
from service.money import money_of, nanos_of_usd


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("team", metavar="TEAM", help="the team, as the config names it")
    parser.add_argument(
        "--amount-usd",
        type=_amount_nanos,
        required=True,
        dest="amount_nanos",
        metavar="USD",
        help="above 0 it is charged, below 0 it is given back; to nine decimals",
    )
    parser.add_argument("--note", required=True, metavar="TEXT", help="why; stands in the audit trail")
    parser.add_argument(
        "--day", type=day, metavar="YYYY-MM-DD", help="of the budget's time zone (default: the one that is today)"
    )
    parser.add_argument(
        "--request-id", metavar="ID", help="names the adjustment, so that it is made once (default: a fresh one)"
    )
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _amount_nanos(text: str) -> int:
    try:
        nanos = nanos_of_usd(Decimal(text))
    except (InvalidOperation, ValueError):
        nanos = 0
    if nanos == 0:
        raise argparse.ArgumentTypeError(f"{text} is no amount such as 1.25 or -0.000000001")
    return nanos


def _run(arguments: argparse.Namespace) -> int:
    request = AdjustBudgetRequest(
        team=arguments.team,
        amount=money_of(arguments.amount_nanos),
        note=arguments.note,
        request_id=arguments.request_id or str(uuid.uuid4()),
        day=arguments.day.isoformat() if arguments.day else "",
    )
    with calling.caller(arguments) as caller:
        try:
            response = caller.call(caller.admin.AdjustBudget, request)
        except CommandFailed as failed:
            # It may have been made all the same, if only its answer was lost.
            advice = f"  to try again without making it twice: --request-id {request.request_id}"
            raise CommandFailed(f"{failed}\n{advice}", failed.exit_code) from None
    show(f"{budget_table([response.budget])}\n")
    return 0

"""`cohort keys rotate`: makes an access key in the place of another one and prints it, this once."""

import argparse
import datetime

from cohort.v1.access_key_pb2 import RotateAccessKeyRequest
from service.cli import calling
from service.cli.grants import add_end, end_of
from service.cli.keys_table import about
from service.cli.shown_once import show_once
from service.cli.times import told

HOURS_DEFAULT = 24.0
HOURS_MAX = 30 * 24.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("id", metavar="ID", help="the access key, as `cohort keys list` shows it")
    parser.add_argument(
        "--overlap-hours",
        type=_hours,
        default=HOURS_DEFAULT,
        metavar="H",
        help="how long the old key goes on beside the new one (default: %(default)g)",
    )
    add_end(parser, "as long as the old key was made for")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours <= HOURS_MAX:
        raise argparse.ArgumentTypeError(f"keys overlap by 0 to {HOURS_MAX:g} hours")
    return hours


def _run(arguments: argparse.Namespace) -> int:
    overlap = datetime.timedelta(hours=arguments.overlap_hours)
    request = RotateAccessKeyRequest(
        id=arguments.id, overlap_seconds=int(overlap.total_seconds()), expire_time=end_of(arguments)
    )
    with calling.caller(arguments) as caller:
        made = caller.call(caller.admin.RotateAccessKey, request)
    old = made.replaced
    show_once(
        f"{made.secret}\n",
        f"Made {about(made.access_key)}; it is shown this once and stored nowhere.\n"
        f"Access key {old.id}, which it replaces, ends {told(old.expire_time)}.",
    )
    return 0

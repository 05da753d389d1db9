"""`cohort keys rotate`: makes an access key in the place of another one and prints it, this once."""

import argparse

from cohort.v1.access_key_pb2 import RotateAccessKeyRequest
from service.cli import calling
from service.cli.grants import add_end, add_request_id, end_of, request_id_of
from service.cli.keys_table import about
from service.cli.shown_once import show_once
from service.cli.times import told

OVERLAP_DEFAULT_S = 86_400
OVERLAP_MAX_S = 2_592_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("id", metavar="ID", help="the access key, as `cohort keys list` shows it")
    parser.add_argument(
        "--overlap-seconds",
        type=_overlap,
        default=OVERLAP_DEFAULT_S,
        metavar="S",
        help="how long the old key goes on beside the new one (default: %(default)s, which is a day)",
    )
    add_end(parser, "as long as the old key was made for; without the scope admin, no longer than an operator let it")
    add_request_id(parser)
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _overlap(text: str) -> int:
    seconds = int(text)
    if not 0 <= seconds <= OVERLAP_MAX_S:
        raise argparse.ArgumentTypeError(f"keys overlap by 0 to {OVERLAP_MAX_S} seconds")
    return seconds


def _run(arguments: argparse.Namespace) -> int:
    request = RotateAccessKeyRequest(
        id=arguments.id,
        overlap_seconds=arguments.overlap_seconds,
        expire_time=end_of(arguments),
        request_id=request_id_of(arguments),
    )
    advice = f"to ask for the same key once more: --request-id {request.request_id}"
    if request.HasField("expire_time"):
        advice += f" --expires {request.expire_time.ToJsonString()}"
    with calling.caller(arguments) as caller:
        made = caller.make(caller.admin.RotateAccessKey, request, advice)
    old = made.replaced
    show_once(
        f"{made.secret}\n",
        f"Made {about(made.access_key)}; it is shown this once and stored nowhere.\n"
        f"Access key {old.id}, which it replaces, ends {told(old.expire_time)}.",
    )
    return 0

"""`cohort keys create`: makes an access key and prints it, this once; it is stored nowhere."""

import argparse

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest
from service.cli import calling
from service.cli.grants import DAYS_MAX, add_end, add_grant, add_request_id, end_of, request_id_of
from service.cli.keys_table import about
from service.cli.shown_once import show_once


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_grant(parser, "what it may do, e.g. chat,embed,rerank")
    parser.add_argument(
        "--requests-per-minute", type=int, metavar="N", help="its own limit, beside its team's (default: none)"
    )
    parser.add_argument("--requests-per-day", type=int, metavar="N", help="the same for each of its team's days")
    add_end(parser, str(DAYS_MAX))
    add_request_id(parser)
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    request = CreateAccessKeyRequest(
        team=arguments.team,
        name=arguments.name,
        scopes=arguments.scopes,
        models=arguments.models,
        max_tokens_per_call=arguments.max_tokens_per_call,
        requests_per_minute=arguments.requests_per_minute,
        requests_per_day=arguments.requests_per_day,
        expire_time=end_of(arguments, DAYS_MAX),
        request_id=request_id_of(arguments),
    )
    end = request.expire_time.ToJsonString()
    advice = f"to ask for the same key once more: --request-id {request.request_id} --expires {end}"
    with calling.caller(arguments) as caller:
        made = caller.make(caller.admin.CreateAccessKey, request, advice)
    show_once(f"{made.secret}\n", f"Made {about(made.access_key)}; it is shown this once and stored nowhere.")
    return 0

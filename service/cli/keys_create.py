"""`cohort keys create`: makes an access key and prints it, this once; it is stored nowhere."""

import argparse

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest
from service.cli import calling
from service.cli.grants import DAYS_MAX, add_end, add_grant, end_of
from service.cli.keys_table import about
from service.cli.shown_once import show_once


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_grant(parser, "what it may do, e.g. chat,embed,rerank")
    add_end(parser, str(DAYS_MAX))
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    request = CreateAccessKeyRequest(
        team=arguments.team,
        name=arguments.name,
        scopes=arguments.scopes,
        models=arguments.models,
        max_tokens_per_call=arguments.max_tokens_per_call,
        expire_time=end_of(arguments, DAYS_MAX),
    )
    with calling.caller(arguments) as caller:
        made = caller.call(caller.admin.CreateAccessKey, request)
    show_once(f"{made.secret}\n", f"Made {about(made.access_key)}; it is shown this once and stored nowhere.")
    return 0

"""`cohort keys revoke`: ends an access key, everywhere within two seconds."""

import argparse
import sys

from cohort.v1 import access_key_pb2
from cohort.v1.access_key_pb2 import RevokeAccessKeyRequest
from service.cli import calling
from service.cli.printing import show
from service.cli.times import told

_GIVE_ACCESS = (access_key_pb2.ACCESS_KEY_STATE_ACTIVE, access_key_pb2.ACCESS_KEY_STATE_REPLACED)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("id", metavar="ID", help="the access key, as `cohort keys list` shows it")
    parser.add_argument("--note", default="", metavar="TEXT", help="why; stands in the audit trail")
    parser.add_argument(
        "--with-successors", action="store_true", help="and what took its place by rotation, down to the last"
    )
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    request = RevokeAccessKeyRequest(id=arguments.id, note=arguments.note, with_successors=arguments.with_successors)
    with calling.caller(arguments) as caller:
        answer = caller.call(caller.admin.RevokeAccessKey, request)
    for key in (answer.access_key, *answer.successors):
        if key.HasField("revoke_time"):
            show(f"Access key {key.id} of {key.team}/{key.name} is revoked since {told(key.revoke_time)}.\n")
        elif key.state in _GIVE_ACCESS:
            show(
                f"Access key {key.id}, which took its place, still gives access: if others have it, too,"
                f" `cohort keys revoke {key.id} --with-successors`.\n",
                sys.stderr,
            )
    return 0

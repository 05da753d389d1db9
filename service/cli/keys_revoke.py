"""`cohort keys revoke`: ends an access key, everywhere within two seconds."""

import argparse

from cohort.v1.access_key_pb2 import RevokeAccessKeyRequest
from service.cli import calling
from service.cli.printing import show
from service.cli.times import told


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("id", metavar="ID", help="the access key, as `cohort keys list` shows it")
    parser.add_argument("--note", default="", metavar="TEXT", help="why; stands in the audit trail")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    request = RevokeAccessKeyRequest(id=arguments.id, note=arguments.note)
    with calling.caller(arguments) as caller:
        key = caller.call(caller.admin.RevokeAccessKey, request).access_key
    show(f"Access key {key.id} of {key.team}/{key.name} is revoked since {told(key.revoke_time)}.\n")
    return 0

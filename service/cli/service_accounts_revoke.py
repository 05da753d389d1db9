"""`cohort service-accounts revoke`: ends a service account and all its tokens, everywhere within two seconds."""

import argparse

from cohort.v1.service_account_pb2 import RevokeServiceAccountRequest
from service.cli import calling
from service.cli.printing import show
from service.cli.times import told


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("id", metavar="ID", help="the account, as `cohort service-accounts list` shows it")
    parser.add_argument("--note", default="", metavar="TEXT", help="why; stands in the audit trail")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    request = RevokeServiceAccountRequest(id=arguments.id, note=arguments.note)
    with calling.caller(arguments) as caller:
        account = caller.call(caller.admin.RevokeServiceAccount, request).service_account
    show(
        f"Service account {account.id} of {account.team}/{account.name} is revoked since {told(account.revoke_time)}.\n"
    )
    return 0

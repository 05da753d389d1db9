"""`cohort token`: signs a short-lived token with a service account's key. Nobody is asked, so it works offline."""

import argparse
from pathlib import Path

from cohort.client.service_account import ServiceAccount
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.grants import words
from service.cli.printing import show


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--service-account",
        type=Path,
        required=True,
        metavar="FILE",
        help="what `cohort service-accounts create` has printed",
    )
    parser.add_argument("--scopes", type=words, metavar="SCOPES", help="e.g. chat,embed (default: all that it has)")
    parser.add_argument(
        "--expires-in", type=int, default=3600, metavar="S", help="seconds, up to 86400 (default: %(default)s)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        account = ServiceAccount.from_file(arguments.service_account)
    except (OSError, ValueError) as error:
        raise CommandFailed(f"--service-account: {error}", NOT_STARTED) from None
    try:
        token = account.token(arguments.scopes, arguments.expires_in)
    except ValueError as error:
        raise CommandFailed(str(error), NOT_STARTED) from None
    show(f"{token}\n")
    return 0

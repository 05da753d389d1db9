"""Who calls: which credential a calling command presents.

--access-key-file, --service-account        what is named
COHORT_ACCESS_KEY                           what the environment holds
.cohort/access_key                          the demo's, for a Cohort on this machine
the login                                   made by `cohort login`
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from cohort.client import with_access_key, with_bearer
from cohort.client.credentials import Bearer
from cohort.client.service_account import ServiceAccount
from service.address import host_of, is_loopback
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.defaults import ACCESS_KEY_FILE, DEMO_FOLDER
from service.cli.login_bearer import LoginBearer
from service.cli.token_store import Login, login_store
from service.config import environment_variable

JWT_LIFETIME_S = 600
"""Of the JWTs that a service account's file signs; a new one follows while a command runs."""


@dataclass(frozen=True, slots=True)
class CallerCredential:
    """What is presented, and where it is from."""

    place: str
    """Where it was found, for people."""
    access_key: str | None = field(default=None, repr=False)
    bearer: Bearer | None = field(default=None, repr=False)
    login: Login | None = None
    """What the bearer is from, if it is a login's."""

    def on(self, channel: grpc.Channel) -> grpc.Channel:
        """The channel with the credential on each call.

        Raises:
            CommandFailed: It cannot stand in metadata.
        """
        try:
            if self.access_key is not None:
                return with_access_key(channel, self.access_key)
            return with_bearer(channel, self.bearer or "")
        except ValueError as error:
            raise CommandFailed(f"{self.place}: {error}", NOT_STARTED) from None


def add_credentials(target: argparse._ArgumentGroup) -> None:
    """Adds who calls to the arguments of where Cohort is."""
    named = target.add_mutually_exclusive_group()
    named.add_argument(
        "--access-key-file",
        type=Path,
        metavar="FILE",
        help="default: COHORT_ACCESS_KEY in the environment, else the demo's .cohort/access_key if it is there and"
        " Cohort is on this machine, else the login made by `cohort login`",
    )
    named.add_argument(
        "--service-account",
        type=Path,
        metavar="FILE",
        help="call as the service account of this file, which signs a JWT of ten minutes",
    )


def caller_credential(arguments: argparse.Namespace) -> CallerCredential:
    """The credential that the arguments and the environment choose.

    Raises:
        CommandFailed: There is none, or it cannot be read.
    """
    if arguments.access_key_file is not None:
        return _from_file(arguments.access_key_file)
    if arguments.service_account is not None:
        return _of_account(arguments.service_account)
    access_key = environment_variable("COHORT_ACCESS_KEY")
    if access_key is not None:
        return CallerCredential("COHORT_ACCESS_KEY", access_key=access_key)
    demo = DEMO_FOLDER / ACCESS_KEY_FILE
    if is_loopback(host_of(arguments.target)) and demo.exists():
        return _from_file(demo)
    store = login_store()
    login = store.load()
    if login is not None:
        return CallerCredential(str(store.file), bearer=LoginBearer(store, login), login=login)
    raise CommandFailed("who calls? `cohort login`, or set COHORT_ACCESS_KEY, or give --access-key-file", NOT_STARTED)


def _from_file(file: Path) -> CallerCredential:
    try:
        return CallerCredential(str(file), access_key=file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"--access-key-file: {error}", NOT_STARTED) from None


def _of_account(file: Path) -> CallerCredential:
    try:
        account = ServiceAccount.from_file(file)
        return CallerCredential(f"{file} (service account {account.id})", bearer=account.bearer(None, JWT_LIFETIME_S))
    except (OSError, ValueError, ImportError) as error:
        raise CommandFailed(f"--service-account: {error}", NOT_STARTED) from None

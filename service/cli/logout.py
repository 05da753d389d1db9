"""`cohort logout`: has the issuer end the login where it can, and forgets it."""

import argparse
import sys

from service.cli.commands import CommandFailed
from service.cli.login_renewal import ended
from service.cli.printing import show
from service.cli.token_store import LoginStore, login_store


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    store = login_store()
    if store.described() is None:
        show("Nobody is logged in.\n")
        return 0
    with store.locked():
        login = store.described()
        if login is not None:
            for problem in _revoked(store):
                show(f"warning: {problem}\n", sys.stderr)
            store.delete(login)
            show(f"Logged out of {login.issuer}.\n")
    return 0


def _revoked(store: LoginStore) -> list[str]:
    """Has the issuer end the login; returns what went wrong, which keeps nobody from forgetting it."""
    try:
        login = store.load()
    except CommandFailed as failed:  # the keyring is not what it was
        return [str(failed)]
    return [] if login is None else ended(login)

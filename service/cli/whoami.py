"""`cohort whoami`: which credential the calling commands present, and who Cohort takes its holder for."""

import argparse
import datetime
import sys
import time

import grpc

from cohort.client import CohortError
from cohort.v1.team_pb2 import GetTeamRequest
from service.cli import calling
from service.cli.caller_credential import CallerCredential, caller_credential
from service.cli.commands import CommandFailed
from service.cli.printing import printable, show
from service.cli.token_store import Login

TIMEOUT_DEFAULT_S = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    calling.add_target(parser)
    parser.set_defaults(run=_run, timeout_seconds=TIMEOUT_DEFAULT_S)


def _run(arguments: argparse.Namespace) -> int:
    credential = caller_credential(arguments)
    width = max(len(name) for name, _ in _facts(credential))
    show("".join(f"{name.ljust(width)}  {printable(value)}\n" for name, value in _facts(credential)))
    with calling.caller(arguments) as caller:
        try:
            # Opened by the scope that most callers have; a caller without it is told apart by the refusal.
            team = caller.admin.GetTeam(GetTeamRequest(), timeout=caller.timeout_s).team.name
        except grpc.RpcError as error:
            return _refused(CohortError.of(error), arguments.target)
    show(f"{arguments.target} takes you for a caller of the team {team}.\n")
    return 0


def _refused(failure: CohortError, target: str) -> int:
    if failure.reason == "SCOPE_MISSING":
        show(f"{target} knows you; which team you are of it tells only with the scope usage:read.\n")
        return 0
    if failure.reason or failure.code is grpc.StatusCode.UNAUTHENTICATED:
        raise CommandFailed(f"{target} refuses you: {calling.told(failure)}")
    show(f"{target} does not answer, so who it takes you for is not known: {calling.told(failure)}\n", sys.stderr)
    return 0


def _facts(credential: CallerCredential) -> list[tuple[str, str]]:
    if credential.login is not None:
        return _login_facts(credential.login, credential.place)
    return [
        ("credential", "access key" if credential.access_key is not None else "service account"),
        ("from", credential.place),
    ]


def _login_facts(login: Login, place: str) -> list[tuple[str, str]]:
    return [
        ("credential", "login"),
        ("from", f"the keyring and {place}" if login.keyring else place),
        ("issuer", login.issuer),
        ("subject", login.subject or "not told"),
        ("client", login.client_id),
        ("scopes", " ".join(login.scopes) or "none"),
        ("expires", _expiry(login)),
    ]


def _expiry(login: Login) -> str:
    renewal = "renewed when it is used" if login.refresh_token else "not renewed"
    if login.expires_at_s is None:
        return "the issuer does not say when"
    moment = datetime.datetime.fromtimestamp(login.expires_at_s, datetime.UTC)
    state = "expired " if login.expires_at_s <= time.time() else ""
    return f"{state}{moment:%Y-%m-%d %H:%M} UTC, {renewal}"

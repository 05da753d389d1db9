"""Parses the command line, runs one command, and turns how it ended into an exit code."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from service.cli.commands import INTERRUPTED, Command, CommandFailed, CommandParser, add_commands
from service.cli.version import PrintVersion

COMMANDS = (
    Command("serve", "service.cli.serve", "Serve what a config says; SIGHUP or a changed file reloads it."),
    Command("check", "service.cli.check", "Check a config as a start does, without serving."),
    Command("init", "service.cli.init", "Prepare the database and make the first operator's access key, once."),
    Command("login", "service.cli.login", "Log in at the company's issuer, in the browser or on another device."),
    Command("logout", "service.cli.logout", "End the login, at the issuer and here."),
    Command("whoami", "service.cli.whoami", "Show who calls, and who Cohort takes that for."),
    Command("rotate", "service.cli.rotate", "Put a new version of a team's Cohere key into use, without a restart."),
    Command("keys", "service.cli.keys", "Access keys, with which callers identify themselves."),
    Command("service-accounts", "service.cli.service_accounts", "Callers that sign their own short-lived tokens."),
    Command("token", "service.cli.token", "Sign a short-lived token with a service account's key, offline."),
    Command("teams", "service.cli.teams", "What teams may use and have left; freeze one, or let it go again."),
    Command("budget", "service.cli.budget", "Correct what a budget says."),
    Command("usage", "service.cli.usage", "What teams have consumed and what it cost, what is left, and the prices."),
    Command("audit", "service.cli.audit", "Read, search, export and verify the audit trail."),
    Command("migrate", "service.cli.migrate", "Bring the database to the schema of this version."),
    Command("call", "service.cli.call", "Call a running Cohort by hand."),
    Command("sandbox", "service.cli.sandbox", "Serve a local Cohere to develop against, with faults on demand."),
    Command("demo", "service.cli.demo", "Run Cohort for a look at it; without a Cohere key on the sandbox."),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after the program's name; those of the process by default.

    Returns:
        0 success, 1 the work failed, 2 it could not begin as asked, 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr; a bar or a name is no reason to fail
    try:
        return _run(parser().parse_args(argv))
    except CommandFailed as failed:
        print(failed, file=sys.stderr)
        return failed.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    root = CommandParser("cohort", "The internal gRPC service through which every team of a company uses Cohere.")
    root.add_argument("--version", action=PrintVersion, nargs=0, help="show the version and exit")
    add_commands(root, COMMANDS)
    return root


def _run(arguments: argparse.Namespace) -> int:
    try:
        exit_code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has enough, as `| head` has
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _drop_output()
        raise CommandFailed(f"cannot write the output: {error.strerror}") from None
    return exit_code


def _drop_output() -> None:
    """What is left in Python's buffer goes nowhere; it would be written, and complained of, once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

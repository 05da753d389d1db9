"""What the commands share that read a config."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from service.address import host_of, is_loopback
from service.cli.commands import NOT_STARTED, CommandFailed
from service.config import ConfigError, config_file

PORT_MAX = 65_535


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds --config."""
    parser.add_argument(
        "--config",
        type=Path,
        default=config_file(),
        metavar="FILE",
        help="the config file (default: the one COHORT_CONFIG names, else /etc/cohort/cohort.toml)",
    )


@contextlib.contextmanager
def problems_told() -> Iterator[None]:
    """Turns a config that cannot be used into words for people: every problem on a line of its own."""
    try:
        yield
    except ConfigError as error:
        raise CommandFailed("\n".join(error.problems), NOT_STARTED) from None


def loopback_address(text: str) -> str:
    """An argument `HOST:PORT` that this machine alone reaches."""
    host, port = host_of(text), text.rpartition(":")[2]
    if not is_loopback(host) or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no HOST:PORT of this machine alone, such as 127.0.0.1:50051")
    return text


def cannot_bind(listen: str, error: OSError) -> str:
    """Why an address cannot be bound; asyncio and the system word it differently, a reader need not notice."""
    return f"{listen} cannot be bound: {os.strerror(error.errno) if error.errno else error}"

"""Requests from the command line: from flags, or whole from JSON."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from service.cli.commands import NOT_STARTED, CommandFailed

M = TypeVar("M", bound=Message)


def add_json(parser: argparse.ArgumentParser, message: str) -> None:
    """Adds --json, for commands that can take the whole request at once."""
    parser.add_argument(
        "--json", metavar="JSON|@FILE", help=f"the whole {message} as JSON, instead of everything that describes it"
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Adds --output: for people, or for programs."""
    parser.add_argument(
        "--output", choices=("text", "json"), default="text", help="json: the answers as JSON, one a line"
    )


def from_json(request: M, arguments: argparse.Namespace, instead_of: Iterable[str]) -> M:
    """Fills a request from --json.

    Args:
        request: Empty.
        arguments: Of the command line, with `json` set.
        instead_of: The arguments that must not be given beside it.

    Raises:
        CommandFailed: The JSON cannot be read or does not fit, or more was given than it.
    """
    beside = [name for name in instead_of if getattr(arguments, name) not in (None, [])]
    if beside:
        raise CommandFailed(f"--json is the whole request; leave out {', '.join(beside)}", NOT_STARTED)
    text: str = arguments.json
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json_format.Parse(text, request)
    except (OSError, UnicodeDecodeError, json_format.ParseError) as error:
        # After its first line the parser lists every field there is.
        raise CommandFailed(f"--json: {str(error).splitlines()[0]}", NOT_STARTED) from None


def as_json_line(message: Message) -> str:
    """A message as JSON with the contract's names, on one line."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None, ensure_ascii=False)

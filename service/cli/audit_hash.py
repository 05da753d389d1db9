"""`cohort audit hash`: the HMAC that stands in the records for content, so that it can be searched for."""

import argparse
import sys
from typing import BinaryIO

from service import config
from service.audit_keys import hmac_key_of
from service.books.content import ContentHasher
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import add_config, problems_told

_PIECE_BYTES = 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "file", metavar="FILE|-", help="the content, byte for byte; a line end at its end counts. -: standard input"
    )
    add_config(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        hasher = ContentHasher(hmac_key_of(config.load(arguments.config)))
    try:
        if arguments.file == "-":
            print(_hash(hasher, sys.stdin.buffer))
        else:
            with open(arguments.file, "rb") as file:  # noqa: PTH123 - a file name, not a path of ours
                print(_hash(hasher, file))
    except OSError as error:
        raise CommandFailed(f"{arguments.file}: {error.strerror}", NOT_STARTED) from None
    return 0


def _hash(hasher: ContentHasher, file: BinaryIO) -> str:
    content = hasher.begin()
    while piece := file.read(_PIECE_BYTES):
        content.add(piece)
    return content.hex

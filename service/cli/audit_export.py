"""`cohort audit export`: writes the books, or a part of them, as lines of JSON that can be verified anywhere."""

import argparse
import contextlib
import datetime
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

import uvloop

from service import config
from service.audit_keys import signing_key_of
from service.books.export import Exporter
from service.books.sections import TIME_MAX_US, TIME_MIN_US, Window
from service.books.signing import SigningKey
from service.books.walk import Walk
from service.cli.commands import FAILED, NOT_STARTED, CommandFailed
from service.cli.configs import add_config, problems_told
from service.cli.times import UTC, timestamp, written
from service.config import ConfigError, LoadedConfig
from service.storage.errors import StorageError
from service.storage.opening import open_database


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.add_argument(
        "--output", default="-", metavar="FILE|-", help="a new file, readable by its owner alone (default: -, stdout)"
    )
    parser.add_argument(
        "--from",
        type=written,
        dest="from_time",
        metavar="TIME",
        help="a part: what was recorded from this day or time on, in UTC unless it names another zone",
    )
    parser.add_argument("--to", type=written, dest="to_time", metavar="TIME", help="a part: what was recorded before")
    parser.add_argument("--team", default="", metavar="TEAM", help="a part: what concerns this team")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    window = Window(_at_us(arguments.from_time, TIME_MIN_US), _at_us(arguments.to_time, TIME_MAX_US), arguments.team)
    with problems_told():
        loaded = config.load(arguments.config)
        key = _key(loaded)
        try:
            with _output(arguments.output) as out:
                lines = uvloop.run(_export(loaded, Exporter(out.write, window, key), window))
        except StorageError as error:
            raise CommandFailed(f"books.database: {error}", FAILED) from None
    counted = ", ".join(f"{name} {count:,}" for name, count in lines.items())
    print(f"exported lines: {counted or 'none'}", file=sys.stderr)
    if not window.is_all:
        print("a part of the books can be verified in part only", file=sys.stderr)
    return 0


async def _export(loaded: LoadedConfig, exporter: Exporter, window: Window) -> dict[str, int]:
    database = await open_database(loaded.database_url(), loaded.database_password(), read_only=True)
    try:
        await Walk(exporter.begin, exporter.take, _unreadable, window).over(database)
    finally:
        await database.close()
    return exporter.finish()


def _unreadable(where: str) -> None:
    print(f"warning: {where} cannot be read, and is not exported", file=sys.stderr)


def _key(loaded: LoadedConfig) -> SigningKey | None:
    try:
        return SigningKey(signing_key_of(loaded))
    except ConfigError as error:
        print(f"warning: the manifest is not signed: {'; '.join(error.problems)}", file=sys.stderr)
        return None


@contextlib.contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandFailed(f"--output: {name}: {error.strerror}", NOT_STARTED) from None
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(descriptor)


def _at_us(moment: datetime.datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else timestamp(moment, UTC).ToMicroseconds()

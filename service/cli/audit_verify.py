"""`cohort audit verify`: checks the books where they are kept, while they are served from, or an export offline."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import orjson
import uvloop

from service import config
from service.audit_keys import signing_key_of
from service.books.signing import KeyUnusable, SigningKey, VerifyingKey
from service.books.verification.findings import BROKEN, INTACT, TOLD_MAX, Finding, Report
from service.books.verification.offline import NoExport, verify_export
from service.books.verification.online import verify_database
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import add_config, problems_told
from service.cli.printing import show
from service.config import ConfigError, LoadedConfig
from service.storage.errors import StorageError
from service.storage.opening import open_database


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.add_argument(
        "--export",
        metavar="FILE|-",
        help="verify what `cohort audit export` wrote, without config and database; -: standard input",
    )
    parser.add_argument(
        "--checkpoints",
        action="append",
        default=[],
        metavar="FILE",
        help="an outside file of checkpoints; may be repeated (the config's own is taken by itself)",
    )
    parser.add_argument(
        "--public-key",
        action="append",
        default=[],
        metavar="FILE",
        help="PEM of a public key that signed; may be repeated (the config's own is taken by itself)",
    )
    parser.add_argument("--json", action="store_true", help="print each finding, at last the verdict, as JSON")
    parser.epilog = "Exit codes: 0 nothing is wrong, 1 something is, 2 nothing is, but not all could be checked."
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    told = _tell_json if arguments.json else _tell
    keys = [_public_key(file) for file in arguments.public_key]
    with contextlib.ExitStack() as opened:
        if arguments.export is not None:
            export = _open(arguments.export, opened)
            report = _verified_export(export, _files(arguments.checkpoints, opened), keys, told)
        else:
            with problems_told():
                loaded = config.load(arguments.config)
                own = loaded.path(loaded.config.audit.checkpoint_file)
                files = _files([*arguments.checkpoints, *([str(own)] if own.exists() else [])], opened)
                report = _verified(loaded, files, [*keys, *_own_key(loaded)], told)
    (_show_json if arguments.json else _show)(report)
    return report.exit_code


def _verified_export(
    export: BinaryIO,
    files: Mapping[str, Iterable[bytes]],
    keys: Sequence[VerifyingKey],
    told: Callable[[Finding], None],
) -> Report:
    try:
        return verify_export(export, files, keys, told)
    except NoExport as error:
        raise CommandFailed(f"--export: {error}", NOT_STARTED) from None


def _verified(
    loaded: LoadedConfig,
    files: Mapping[str, Iterable[bytes]],
    keys: Sequence[VerifyingKey],
    told: Callable[[Finding], None],
) -> Report:
    async def verify() -> Report:
        database = await open_database(loaded.database_url(), loaded.database_password(), read_only=True)
        try:
            return await verify_database(database, files, keys, told)
        finally:
            await database.close()

    try:
        return uvloop.run(verify())
    except StorageError as error:
        raise CommandFailed(f"books.database: {error}", NOT_STARTED) from None


def _own_key(loaded: LoadedConfig) -> list[VerifyingKey]:
    """The public half of the config's signing key; whoever verifies need not be let near the private one."""
    try:
        return [SigningKey(signing_key_of(loaded)).public]
    except ConfigError as error:
        print(f"warning: {'; '.join(error.problems)}", file=sys.stderr)
        return []


def _public_key(file: str) -> VerifyingKey:
    try:
        return VerifyingKey.from_pem(Path(file).read_bytes())
    except OSError as error:
        raise CommandFailed(f"--public-key: {file}: {error.strerror}", NOT_STARTED) from None
    except KeyUnusable as error:
        raise CommandFailed(f"--public-key: {file}: {error}", NOT_STARTED) from None


def _files(names: Iterable[str], opened: contextlib.ExitStack) -> dict[str, Iterable[bytes]]:
    return {name: _open(name, opened) for name in names}


def _open(name: str, opened: contextlib.ExitStack) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    try:
        return opened.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise CommandFailed(f"{name}: {error.strerror}", NOT_STARTED) from None


def _tell(finding: Finding) -> None:
    show(f"broken: {finding}\n")


def _tell_json(finding: Finding) -> None:
    show(f"{orjson.dumps(finding.as_dict()).decode()}\n")


def _show(report: Report) -> None:
    counted = ", ".join(f"{what} {count:,}" for what, count in sorted(report.counted.items()))
    show(f"looked at: {counted or 'nothing'}\n")
    for what in report.unchecked:
        show(f"not checked: {what}\n")
    found = report.found.total()
    if found > TOLD_MAX:
        show(f"{found - TOLD_MAX:,} more findings are not shown\n")
    show(f"{_verdict(report)}\n")


def _show_json(report: Report) -> None:
    fields = {
        "verdict": _verdict(report).partition(":")[0],
        "found": dict(report.found),
        "unchecked": report.unchecked,
        "counted": dict(report.counted),
    }
    show(f"{orjson.dumps(fields).decode()}\n")


def _verdict(report: Report) -> str:
    if report.exit_code == INTACT:
        return "intact: nothing was changed, added or removed"
    if report.exit_code == BROKEN:
        count = report.found.total()
        return f"broken: {count:,} finding{'' if count == 1 else 's'}"
    return "incomplete: nothing is wrong in what could be checked"

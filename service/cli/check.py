"""`cohort check`: does what start-up does without serving, and says what an operator should know."""

import argparse
import asyncio
import importlib
import ssl
import sys
from collections import defaultdict
from collections.abc import Callable

from yarl import URL

from clients.errors import SecretMissing
from service import config
from service.address import is_loopback
from service.audit_keys import audit_keys_of
from service.cli.check_keys import show_keys
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import add_config, problems_told
from service.cli.table import table
from service.cohere_keys.sources import KeySources
from service.config import ConfigError, LoadedConfig
from service.money import usd_of
from service.snapshot import Snapshot, snapshot_of

_COLUMNS = (
    "TEAM",
    "ENDPOINTS",
    "MODELS",
    "MAX TOKENS",
    "MAX INPUT TOKENS",
    "DAILY BUDGET",
    "COHERE KEY",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.add_argument("--keys", action="store_true", help="ask Cohere, by what is free, whether it takes each key")
    parser.add_argument("--json", action="store_true", help="with --keys: print what was found as JSON, a team a line")
    parser.set_defaults(run=_run)


def checked(loaded: LoadedConfig) -> Snapshot:
    """Makes everything of a config that a start makes.

    Raises:
        ConfigError: With every reason why the service would not start.
    """
    problems = [
        *_problems_of(audit_keys_of, loaded),
        *_problems_of(LoadedConfig.database_password, loaded),
        *_certificate_problems(loaded),
        *_tracing_problems(loaded),
        *_problems_of(_make_key_sources, loaded),
    ]
    try:
        snapshot = snapshot_of(loaded)
    except ConfigError as error:
        raise ConfigError([*error.problems, *problems]) from None
    if problems:
        raise ConfigError(problems)
    return snapshot


def warnings_of(snapshot: Snapshot) -> list[str]:
    """What does not keep the service from starting, but some callers from being served as intended."""
    return [
        *_database_warnings(snapshot),
        *_price_warnings(snapshot),
        *_cohere_key_warnings(snapshot),
        *_pepper_warnings(snapshot),
    ]


def teams_table(snapshot: Snapshot) -> str:
    """The teams, what each may use, and where its Cohere key is kept."""
    rows = []
    for name, team in sorted(snapshot.loaded.config.teams.items()):
        rows.append(
            (
                [name],
                sorted(team.endpoints),
                sorted(team.models),
                [str(team.max_tokens_per_call)],
                [str(team.max_input_tokens_per_call or "-")],
                [f"${usd_of(snapshot.budgets[name].limit_nanos)}", team.time_zone],
                [team.cohere_key, *([str(team.base_url)] if team.base_url else [])],
            )
        )
    return table(_COLUMNS, rows)


def _problems_of(read: Callable[[LoadedConfig], object], loaded: LoadedConfig) -> list[str]:
    try:
        read(loaded)
    except ConfigError as error:
        return error.problems
    return []


def _make_key_sources(loaded: LoadedConfig) -> None:
    async def make() -> None:
        sources = KeySources(loaded)
        try:
            sources.of(loaded)
        finally:
            await sources.close()

    asyncio.run(make())


def _certificate_problems(loaded: LoadedConfig) -> list[str]:
    tls = loaded.config.server.tls
    if tls is None:
        return []
    certificate, key = loaded.path(tls.certificate_file), loaded.path(tls.private_key_file)
    problems = []
    for name, path in (("certificate_file", certificate), ("private_key_file", key)):
        try:
            path.read_bytes()
        except OSError as error:
            problems.append(f"server.tls.{name}: {path}: {error.strerror}")
    if not problems:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        except ssl.SSLError as error:
            problems.append(f"server.tls: no usable pair of certificate and private key: {error.reason or error}")
    return problems


def _tracing_problems(loaded: LoadedConfig) -> list[str]:
    if loaded.config.tracing.enabled:
        try:
            importlib.import_module("service.telemetry.tracing")
        except ImportError:
            return ["tracing.enabled: install cohort[otel]"]
    return []


def _database_warnings(snapshot: Snapshot) -> list[str]:
    url = URL(snapshot.loaded.database_url())
    if not url.host or is_loopback(url.host) or url.query.get("sslmode") in {"verify-ca", "verify-full"}:
        return []
    return ["books.database: without ?sslmode=verify-full whoever is between here and the database can change it"]


def _price_warnings(snapshot: Snapshot) -> list[str]:
    return [
        f"teams.{name}.models: every call of {model} will be refused: {snapshot.price_book.how_to_price(model)}"
        for name, team in sorted(snapshot.loaded.config.teams.items())
        for model in sorted(team.models)
        if snapshot.price_book.price_of(model) is None
    ]


def _cohere_key_warnings(snapshot: Snapshot) -> list[str]:
    warnings = []
    teams_by_key: defaultdict[str, list[str]] = defaultdict(list)
    for name, client in sorted(snapshot.clients.items()):
        reference = snapshot.loaded.config.teams[name].cohere_key
        identity = f"held: of {name}" if client.source == "held" else reference
        if client.source in {"env", "file"}:
            try:
                identity = snapshot.loaded.secret(reference).read()
            except SecretMissing as missing:
                warnings.append(f"teams.{name}.cohere_key: {missing}: every call of the team will fail")
        teams_by_key[identity].append(name)
    warnings += [
        f"teams {', '.join(names)}: one Cohere key for all of them, so Cohere bills and limits them as one"
        for names in teams_by_key.values()
        if len(names) > 1
    ]
    return warnings


def _pepper_warnings(snapshot: Snapshot) -> list[str]:
    return [] if snapshot.peppers else ["peppers: none, so there can be no access keys and no service accounts"]


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        snapshot = checked(config.load(arguments.config))
        if arguments.keys:
            return show_keys(snapshot, as_json=arguments.json)
    if arguments.json:
        raise CommandFailed("--json goes with --keys", NOT_STARTED)
    warnings = warnings_of(snapshot)
    print(teams_table(snapshot))
    sys.stdout.flush()
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    count = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
    print(f"\n{arguments.config}: the service would start with it ({count})")
    return 0

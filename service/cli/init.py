"""`cohort init`: prepares a config's database, and makes the first access key of an operator, once.

All further ones are made with it, by `cohort keys create`.
"""

import argparse
import time
from collections.abc import Mapping

import uvloop

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest
from service import config, offline
from service.books.errors import BooksUnavailable
from service.cli.commands import CommandFailed
from service.cli.configs import add_config, problems_told
from service.cli.grants import DAYS_MAX, add_end, end_of
from service.cli.shown_once import show_once
from service.config import ConfigError, LoadedConfig
from service.identity.access_key_registry import StoredAccessKey, create
from service.identity.access_key_rows import LIFETIME_MAX_US, NewAccessKey
from service.identity.access_keys import mint
from service.identity.scopes import ADMIN
from service.snapshot import snapshot_of
from service.validation import violations_of_create_access_key

BY = "cohort init"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--team", required=True, help="the operator's team, as the config names it")
    parser.add_argument("--name", required=True, help="the operator, within the team; stands in the audit trail")
    add_end(parser, str(DAYS_MAX))
    add_config(parser)
    parser.set_defaults(run=_run)


async def _first(loaded: LoadedConfig, new: NewAccessKey) -> StoredAccessKey | None:
    async with offline.books_of(loaded) as books:
        stored: StoredAccessKey | None = await books.change(create(new, BY, first_admin=True))
        return stored


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        loaded = config.load(arguments.config)
        peppers = snapshot_of(loaded).peppers
        expires_at_us = _expiry(arguments, loaded, peppers)
        minted = mint(loaded.config.environment, peppers, loaded.config.identity.pepper_version)
        new = NewAccessKey(
            id=minted.id,
            digest=minted.digest,
            pepper_version=minted.pepper_version,
            team=arguments.team,
            name=arguments.name,
            scopes=frozenset({ADMIN}),
            expires_at_us=expires_at_us,
        )
        try:
            stored = uvloop.run(_first(loaded, new))
        except BooksUnavailable as error:
            raise CommandFailed(f"books.database: {error.why}") from None
    if stored is None:
        raise CommandFailed("there is an access key with the scope admin, or was: `cohort keys create` makes others")
    show_once(
        f"{minted.access_key}\n",
        f"Made access key {stored.id} for {stored.team}/{stored.name} with the scope {ADMIN};"
        " it is shown this once and stored nowhere.",
    )
    return 0


def _expiry(arguments: argparse.Namespace, loaded: LoadedConfig, peppers: Mapping[str, bytes]) -> int:
    """When the key is to end, µs since 1970.

    Raises:
        ConfigError: With every reason why there cannot be such a key.
    """
    end = end_of(arguments, DAYS_MAX)
    request = CreateAccessKeyRequest(team=arguments.team, name=arguments.name, scopes=[ADMIN], expire_time=end)
    problems = [f"--{each.field}: {each.description}" for each in violations_of_create_access_key(request)]
    if arguments.team not in loaded.config.teams:
        problems.append("--team: no team of the config has this name")
    if not peppers:
        problems.append("peppers: none, so there can be no access keys")
    lives_us = request.expire_time.ToMicroseconds() - time.time_ns() // 1000
    if not 0 < lives_us <= LIFETIME_MAX_US:
        problems.append(f"--expires: must be after now and at most {DAYS_MAX} days from now")
    if problems:
        raise ConfigError(problems)
    return request.expire_time.ToMicroseconds()

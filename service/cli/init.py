"""`cohort init`: prepares a config's database, and makes the first access key of an operator, once.

All further ones are made with it, by `cohort keys create`. Where none is at hand any more, `--again` makes another:
whoever has the config and the database could have made the first one, too.
"""

import argparse
import time
from collections.abc import Mapping
from typing import NamedTuple

import uvloop

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest
from service import config, offline
from service.books.errors import BooksUnavailable
from service.cli.commands import CommandFailed
from service.cli.configs import add_config, problems_told
from service.cli.grants import DAYS_MAX, add_end, end_of
from service.cli.shown_once import show_once
from service.config import ConfigError, LoadedConfig
from service.identity.access_key_registry import Change, create
from service.identity.access_key_rows import LIFETIME_MAX_US, NewAccessKey
from service.identity.access_keys import mint
from service.identity.place import FIRST, CredentialPlace
from service.identity.scopes import ADMIN
from service.identity.seals import Seals
from service.identity.stored_access_keys import StoredAccessKey, list_access_keys
from service.servicers.asking import day_of
from service.snapshot import snapshot_of
from service.storage.database import Transaction
from service.validation import violations_of_create_access_key

PAGE_KEYS = 1_000
BY = "cohort init"
BY_AGAIN = "cohort init --again"

_THERE = (
    "there is an access key with the scope admin, or was: `cohort keys create` makes others;"
    " if it is lost, `cohort init --again` makes one more"
)


class Made(NamedTuple):
    """The new key, and the others in force that have the scope `admin`."""

    key: StoredAccessKey
    others: list[StoredAccessKey]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--team", required=True, help="the operator's team, as the config names it")
    parser.add_argument("--name", required=True, help="the operator, within the team; stands in the audit trail")
    add_end(parser, str(DAYS_MAX))
    parser.add_argument(
        "--again", action="store_true", help="make one though there was one before, which goes on; noticed as such"
    )
    add_config(parser)
    parser.set_defaults(run=_run)


async def _made(loaded: LoadedConfig, new: NewAccessKey, seals: Seals, *, again: bool) -> Made | None:
    async with offline.books_of(loaded) as books:
        change = Change(BY_AGAIN if again else BY, seals)
        stored: StoredAccessKey | None = await books.change(create(new, change, first_admin=not again))
        if stored is None:
            return None
        keys = await books.read(_in_force)
        return Made(stored, [key for key in keys if ADMIN in key.scopes and key.id != stored.id])


async def _in_force(tx: Transaction) -> list[StoredAccessKey]:
    keys: list[StoredAccessKey] = []
    after: CredentialPlace | None = FIRST
    while after is not None:
        page = await list_access_keys(tx, "", "", PAGE_KEYS, after)
        keys += [key for key in page.keys if key.state in {"ACTIVE", "REPLACED"}]
        after = page.end
    return keys


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        loaded = config.load(arguments.config)
        snapshot = snapshot_of(loaded)
        peppers = snapshot.peppers
        expires_at_us = _expiry(arguments, loaded, peppers)
        minted = mint(loaded.config.environment, peppers, snapshot.pepper_version)
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
            made = uvloop.run(_made(loaded, new, Seals(peppers), again=arguments.again))
        except BooksUnavailable as error:
            raise CommandFailed(f"books.database: {error.why}") from None
    if made is None:
        raise CommandFailed(_THERE)
    stored, others = made
    show_once(
        f"{minted.access_key}\n",
        f"Made access key {stored.id} for {stored.team}/{stored.name} with the scope {ADMIN};"
        f" it is shown this once and stored nowhere.{''.join(map(_told, others))}",
    )
    return 0


def _told(other: StoredAccessKey) -> str:
    used = "was never used" if other.last_used_day == 0 else f"was last used on {day_of(other.last_used_day)}"
    return (
        f"\nAccess key {other.id} of {other.team}/{other.name} has the scope {ADMIN} as well, and {used}:"
        f" if nobody has it, `cohort keys revoke {other.id}`."
    )


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

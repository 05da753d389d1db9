"""Access keys that stood in a config once: read from their tables, and taken into the database."""

import datetime
import tomllib
from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from pydantic import Field, ValidationError, model_validator

from service.books import ledger
from service.books.entries import Work
from service.books.records import Record
from service.config.base import Section
from service.config.problems import ConfigError
from service.config.sections import Config
from service.config.values import Name, Scope
from service.identity.access_key_rows import LIFETIME_MAX_US, NewAccessKey, count_up, insert
from service.identity.seals import Seals
from service.storage.database import Transaction

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class AccessKeyTable(Section):
    """One `[[access_keys]]`: what is kept of an access key, and what it may do."""

    id: str = Field(pattern=r"^[0-9A-Za-z]{12}$")
    hash: str = Field(pattern=r"^[0-9]{1,4}:[0-9a-f]{64}$")
    """`PEPPER_VERSION:HEX` — HMAC-SHA256 of the whole access key."""
    team: Name
    name: Name
    scopes: frozenset[Scope] = Field(min_length=1)
    models: frozenset[str] = frozenset()
    """The only models it may use; absent = all of its team's."""
    max_tokens_per_call: int | None = Field(default=None, ge=1, le=1_000_000)
    """Its own cap of output tokens; absent = its team's."""
    expires_at: datetime.datetime

    @model_validator(mode="after")
    def _has_a_zone(self) -> "AccessKeyTable":
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone, e.g. 2027-01-01T00:00:00Z")
        return self

    def key(self) -> NewAccessKey:
        """What is to be written."""
        version, _, digest = self.hash.partition(":")
        return NewAccessKey(
            id=self.id,
            digest=bytes.fromhex(digest),
            pepper_version=version,
            team=self.team,
            name=self.name,
            scopes=frozenset(self.scopes),
            expires_at_us=(self.expires_at - _EPOCH) // _MICROSECOND,
            models=self.models,
            max_tokens_per_call=self.max_tokens_per_call,
        )


class Imported(NamedTuple):
    """What has become of keys."""

    ids: list[str]
    """Those that were new."""
    cut: list[str]
    """Those of them that end earlier than it was written."""


def keys_in(text: str, config: Config) -> list[NewAccessKey]:
    """Reads the key tables of a TOML text; whatever else stands there is left alone.

    Args:
        text: The TOML.
        config: Knows the teams, and the versions of the pepper.

    Raises:
        ConfigError: With every problem; values are not repeated, one may be a secret.
    """
    try:
        tables = tomllib.loads(text).get("access_keys", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"not TOML: {error}"]) from None
    if not isinstance(tables, list):
        raise ConfigError(["access_keys: is written as [[access_keys]]"])
    keys: list[NewAccessKey] = []
    problems: list[str] = []
    ids: set[str] = set()
    for number, table in enumerate(tables):
        place = f"access_keys.{number}"
        try:
            key = AccessKeyTable.model_validate(table).key()
        except ValidationError as error:
            problems += [_problem(place, finding["loc"], finding["msg"]) for finding in error.errors()]
            continue
        problems += [f"{place}.{problem}" for problem in _contradictions(key, config, ids)]
        ids.add(key.id)
        keys.append(key)
    if problems:
        raise ConfigError(problems)
    return keys


def import_keys(keys: Collection[NewAccessKey], by: str, seals: Seals) -> Work:
    """Takes keys into the database, those whose id is there already left as they are; gives `Imported`.

    None lives longer for it than one that is made here: its end is brought forward, to `ACCESS_KEY_LIFETIME_MAX` from
    now, as it is in use and must go on.

    Args:
        keys: What to keep of each.
        by: Who or what brings them.
        seals: What their rows are sealed with.
    """

    async def act(tx: Transaction) -> tuple[Imported, Record | None]:
        now_us = await ledger.clock(tx)
        end_us = now_us + LIFETIME_MAX_US
        imported = Imported([], [])
        for key in keys:
            is_cut = key.expires_at_us > end_us
            taken = replace(key, expires_at_us=end_us) if is_cut else key
            if await insert(tx, taken, by, now_us, seals):
                imported.ids.append(key.id)
                if is_cut:
                    imported.cut.append(key.id)
        if not imported.ids:
            return imported, None
        await count_up(tx)
        body = {"event": "access_keys_imported", "ids": imported.ids, "cut": imported.cut, "principal": by}
        return imported, Record("notice", "", "", orjson.dumps(body))

    return Work("", act)


def _contradictions(key: NewAccessKey, config: Config, ids: Collection[str]) -> list[str]:
    return [
        *(["team: no team has this name"] if key.team not in config.teams else []),
        *(["id: another access key has this id"] if key.id in ids else []),
        *(["hash: no pepper has its version"] if key.pepper_version not in config.peppers else []),
    ]


def _problem(place: str, path: tuple[Any, ...], message: str) -> str:
    return f"{'.'.join([place, *map(str, path)])}: {message.removeprefix('Value error, ')}"

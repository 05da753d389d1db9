"""Cohort as it really runs, in front of the canned upstream: TLS off, an access key, metrics, a log file."""

import asyncio
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.upstream import STREAMS, Upstream
from bench.workloads import CHAT_MODEL, EMBED_MODEL, RERANK_MODEL, Workload
from service import config, offline
from service.audit_keys import new_signing_key
from service.identity import access_keys
from service.identity.access_key_rows import NewAccessKey
from service.identity.importing import import_keys
from service.identity.seals import Seals
from service.snapshot import snapshot_of

_PEPPER = "pepper-of-the-bench-0123456789abcdef"
_UNARY_TEAM, _STREAM_TEAM = "unary", "streams"
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """A config made for the bench, and the access keys it accepts, one a team."""

    config: Path
    access_keys: dict[str, str]

    def access_key_for(self, workload: Workload) -> str:
        """The access key of the team whose upstream answers as the workload needs."""
        return self.access_keys[_STREAM_TEAM if workload.streams else _UNARY_TEAM]


def new_key(team: str, name: str, scopes: Collection[str]) -> tuple[str, NewAccessKey]:
    """Makes an access key that lives for a day; gives it and what is kept of it."""
    key_id, access_key = access_keys.create("bench")
    digest = access_keys.digest_of(access_key, _PEPPER.encode())
    expires_at_us = time.time_ns() // 1000 + _DAY_US
    return access_key, NewAccessKey(key_id, digest, "1", team, name, frozenset(scopes), expires_at_us)


def let_in(config_file: Path, keys: Collection[NewAccessKey]) -> None:
    """Takes access keys into the database of a config, which no service has open."""
    loaded = config.load(config_file)
    seals = Seals(snapshot_of(loaded).peppers)

    async def imported() -> None:
        async with offline.books_of(loaded) as books:
            await books.change(import_keys(keys, "bench", seals))

    asyncio.run(imported())


def setting_in(folder: Path, upstream: Upstream, database: str | None = None) -> Setting:
    """Writes a config, and lets its callers in.

    Args:
        folder: Where to; made if it is not there.
        upstream: What answers in the place of Cohere.
        database: The URL of an empty one for the books; None for SQLite, in *folder*.
    """
    folder.mkdir(exist_ok=True)
    file, keys = write_setting(folder, upstream, database)
    let_in(file, [key for _, key in keys.values()])
    return Setting(file, {team: access_key for team, (access_key, _) in keys.items()})


def write_setting(
    folder: Path, upstream: Upstream, database: str | None = None
) -> tuple[Path, dict[str, tuple[str, NewAccessKey]]]:
    """Writes a config into *folder*; gives its path, and an access key for each team that is yet to be let in."""
    models = orjson.dumps([CHAT_MODEL, EMBED_MODEL, RERANK_MODEL]).decode()
    lines = [
        'environment = "bench"',
        '[server]\nlisten = "127.0.0.1:0"',
        '[metrics]\nlisten = "127.0.0.1:0"',
        '[cohere]\nsandbox = true\n[cohere.pacing]\nkey_kind = "off"',
        '[peppers]\n1 = "file:pepper"',
        '[audit]\nhmac_key = "file:audit-hmac.key"\nsigning_key = "file:audit-signing.key"',
    ]
    if database is not None:
        lines.append(f'[books]\ndatabase = "{database}"')
    keys: dict[str, tuple[str, NewAccessKey]] = {}
    for team, base_url in ((_UNARY_TEAM, upstream.base_url), (_STREAM_TEAM, f"{upstream.base_url}/{STREAMS}")):
        lines.append(
            f'[teams.{team}]\ncohere_key = "file:cohere_key"\nbase_url = "{base_url}"\n'
            f"models = {models}\nmax_tokens_per_call = 4096\ndaily_budget_usd = 1_000_000"
        )
        keys[team] = new_key(team, "bench", ("chat", "embed", "rerank"))
    (folder / "pepper").write_text(_PEPPER)
    (folder / "audit-hmac.key").write_text(secrets.token_hex(32))
    (folder / "audit-signing.key").write_text(new_signing_key())
    (folder / "cohere_key").write_text("a-Cohere-key-that-nobody-checks")
    file = folder / "cohort.toml"
    file.write_text("\n".join(lines) + "\n")
    return file, keys


def prepare(upstream: Upstream, workload: Workload, *, first: bool = False) -> None:
    """Lets the upstream answer the workload; *first* asks for the answer to the very first call."""
    path = f"v2/{workload.method.removesuffix('Stream').lower()}"
    body = workload.first_answer if first and workload.first_answer is not None else workload.answer
    upstream.answer(f"{STREAMS}/{path}" if workload.streams else path, body)

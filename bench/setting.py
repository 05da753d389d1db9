"""Cohort as it really runs, in front of the canned upstream: TLS off, an access key, metrics, a log file."""

import datetime
import secrets
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.upstream import STREAMS, Upstream
from bench.workloads import CHAT_MODEL, EMBED_MODEL, RERANK_MODEL, Workload
from service.audit_keys import new_signing_key
from service.identity import access_keys

_PEPPER = "pepper-of-the-bench-0123456789abcdef"
_UNARY_TEAM, _STREAM_TEAM = "unary", "streams"


@dataclass(frozen=True, slots=True)
class Setting:
    """A config made for the bench, and the access keys it accepts, one a team."""

    config: Path
    access_keys: dict[str, str]

    def access_key_for(self, workload: Workload) -> str:
        """The access key of the team whose upstream answers as the workload needs."""
        return self.access_keys[_STREAM_TEAM if workload.streams else _UNARY_TEAM]


def setting_in(folder: Path, upstream: Upstream, database: str | None = None) -> Setting:
    """Writes a config.

    Args:
        folder: Where to; made if it is not there.
        upstream: What answers in the place of Cohere.
        database: The URL of an empty one for the books; None for SQLite, in *folder*.
    """
    folder.mkdir(exist_ok=True)
    models = orjson.dumps([CHAT_MODEL, EMBED_MODEL, RERANK_MODEL]).decode()
    lines = [
        'environment = "bench"',
        '[server]\nlisten = "127.0.0.1:0"',
        '[metrics]\nlisten = "127.0.0.1:0"',
        '[peppers]\n1 = "file:pepper"',
        '[audit]\nhmac_key = "file:audit-hmac.key"\nsigning_key = "file:audit-signing.key"',
    ]
    if database is not None:
        lines.append(f'[books]\ndatabase = "{database}"')
    keys: dict[str, str] = {}
    for team, base_url in ((_UNARY_TEAM, upstream.base_url), (_STREAM_TEAM, f"{upstream.base_url}/{STREAMS}")):
        lines.append(
            f'[teams.{team}]\ncohere_key = "file:cohere_key"\nbase_url = "{base_url}"\n'
            f"models = {models}\nmax_tokens_per_call = 4096\ndaily_budget_usd = 1_000_000"
        )
        key_id, keys[team] = access_keys.create("bench")
        digest = access_keys.digest_of(keys[team], _PEPPER.encode()).hex()
        expires_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
        lines.append(
            f'[[access_keys]]\nid = "{key_id}"\nhash = "1:{digest}"\nteam = "{team}"\nname = "bench"\n'
            f'scopes = ["chat", "embed", "rerank"]\nexpires_at = {expires_at.isoformat()}'
        )
    (folder / "pepper").write_text(_PEPPER)
    (folder / "audit-hmac.key").write_text(secrets.token_hex(32))
    (folder / "audit-signing.key").write_text(new_signing_key())
    (folder / "cohere_key").write_text("a-Cohere-key-that-nobody-checks")
    config = folder / "cohort.toml"
    config.write_text("\n".join(lines) + "\n")
    return Setting(config, keys)


def prepare(upstream: Upstream, workload: Workload, *, first: bool = False) -> None:
    """Lets the upstream answer the workload; *first* asks for the answer to the very first call."""
    path = f"v2/{workload.method.removesuffix('Stream').lower()}"
    body = workload.first_answer if first and workload.first_answer is not None else workload.answer
    upstream.answer(f"{STREAMS}/{path}" if workload.streams else path, body)

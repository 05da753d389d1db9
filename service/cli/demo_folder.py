"""The folder of `cohort demo`: made once with secrets, an access key and two configs, and reused from then on.

pepper, audit-*.key   secret  what access keys' hashes, and the audit trail, are made with
access_key            secret  the demo team's access key, with every scope that opens an RPC
sandbox_key                   the sandbox's production key; nothing to protect
cohort.toml, .db, -checkpoints.jsonl    the demo team on real Cohere, its key read from CO_API_KEY; its books
sandbox.toml, .db, -checkpoints.jsonl   the demo team on the sandbox; its books
log.jsonl                     the service's log lines
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from clients.sandbox.keys import WELL_KNOWN
from clients.sandbox.models import MODELS
from service import config
from service.audit_keys import new_signing_key
from service.cli.defaults import ACCESS_KEY_FILE, LISTEN, METRICS_LISTEN, SANDBOX_LISTEN
from service.config import ConfigError, LoadedConfig
from service.identity import access_keys
from service.pricing import book as price_book

_SECRETS = ("pepper", "audit-hmac.key", "audit-signing.key", ACCESS_KEY_FILE)
_FILES = (*_SECRETS, "sandbox_key", "cohort.toml", "sandbox.toml")
_SECRET_BYTES = 32

_TEMPLATE = """\
# Written once by `cohort demo`, and yours to change. To begin anew, delete this folder.
environment = "demo"

[server]
listen = "{listen}"

[metrics]
listen = "{metrics}"

[cohere]
base_url = "{base_url}"
sandbox = {sandbox}

[cohere.pacing]
key_kind = "{key_kind}"           # production, trial, or off: not paced

[teams.demo]
cohere_key = "{cohere_key}"
models = [
{models}
]
max_tokens_per_call = 4096
daily_budget_usd = 5

[books]
database = "sqlite:{books}.db"

[audit]
hmac_key = "file:audit-hmac.key"
signing_key = "file:audit-signing.key"
checkpoint_file = "{books}-checkpoints.jsonl"

[identity]
organisation = "demo"

[peppers]
1 = "file:pepper"
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo listens; None means as the folder says, or the default in a new one."""

    listen: str | None = None
    metrics: str | None = None
    sandbox: str | None = None


class DemoFolder:
    """A demo folder that exists.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_file = path / "log.jsonl"
        self.access_key_file = path / ACCESS_KEY_FILE

    def access_key(self) -> str:
        """The demo team's access key."""
        return self.access_key_file.read_text(encoding="ascii", errors="replace").strip()

    def config(self, *, sandbox: bool) -> LoadedConfig:
        """The config to serve.

        Raises:
            ConfigError: It was changed into something wrong.
        """
        return config.load(self.path / ("sandbox.toml" if sandbox else "cohort.toml"))


def opened(path: Path, addresses: Addresses) -> DemoFolder:
    """Opens the folder, and makes it first if it is not there.

    Args:
        path: Where it lies or shall lie.
        addresses: Where to listen; in a folder that is there its configs are changed accordingly.

    Raises:
        ConfigError: It is no whole demo folder, or cannot be written.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        missing = [name for name in _FILES if not (path / name).exists()]
        if not missing:
            for name in ("cohort.toml", "sandbox.toml"):
                _change_addresses(path / name, addresses)
        elif len(missing) == len(_FILES):
            _create(path, addresses)
        else:
            raise ConfigError([f"{path} lacks {', '.join(missing)}: delete the folder to begin anew"])
    except OSError as error:
        raise ConfigError([f"{error.filename}: {error.strerror}"]) from None
    return DemoFolder(path)


def _create(path: Path, addresses: Addresses) -> None:
    path.chmod(0o700)
    _write(path / "pepper", secrets.token_hex(_SECRET_BYTES), mode=0o600)
    _write(path / "audit-hmac.key", secrets.token_hex(_SECRET_BYTES), mode=0o600)
    _write(path / "audit-signing.key", new_signing_key(), mode=0o600)
    production = next(key for key in WELL_KNOWN if key.name == "sandbox-production")
    _write(path / "sandbox_key", production.secret, mode=0o600)
    prices = price_book.load()
    shared = {
        "listen": addresses.listen or LISTEN,
        "metrics": addresses.metrics or METRICS_LISTEN,
        "models": "\n".join(f'  "{name}",' for name in MODELS if prices.price_of(name)),
    }
    sandbox_url = f"http://{addresses.sandbox or SANDBOX_LISTEN}"
    real = _TEMPLATE.format(
        **shared,
        base_url="https://api.cohere.com",
        sandbox="false",
        cohere_key="env:CO_API_KEY",
        key_kind="production",
        books="cohort",
    )
    local = _TEMPLATE.format(
        **shared, base_url=sandbox_url, sandbox="true", cohere_key="file:sandbox_key", key_kind="off", books="sandbox"
    )
    _write(path / "cohort.toml", real)
    _write(path / "sandbox.toml", local)
    _write(path / ACCESS_KEY_FILE, access_keys.create("demo")[1], mode=0o600)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _change_addresses(file: Path, addresses: Addresses) -> None:
    text = before = file.read_text(encoding="utf-8")
    if addresses.listen is not None:
        text = _with_value(file, text, "server", "listen", addresses.listen)
    if addresses.metrics is not None:
        text = _with_value(file, text, "metrics", "listen", addresses.metrics)
    if addresses.sandbox is not None and file.name == "sandbox.toml":
        text = _with_value(file, text, "cohere", "base_url", f"http://{addresses.sandbox}")
    if text != before:
        file.write_text(text, encoding="utf-8")


def _with_value(file: Path, text: str, section: str, key: str, value: str) -> str:
    pattern = re.compile(rf'^(\[{section}\]\n(?:[^\[\n].*\n|\n)*?{key} *= *)"[^"\n]*"', re.MULTILINE)
    changed, found = pattern.subn(lambda match: f'{match[1]}"{value}"', text, count=1)
    if not found:
        raise ConfigError([f"{file}: {section}.{key} is not where `cohort demo` wrote it: change it there by hand"])
    return changed

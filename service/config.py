"""The one frozen, typed Config, and the only reader of the config file and the environment.

A config is checked whole: every error is reported at once, with its path. Secrets are never written in the
file, only referred to (`env:NAME`, `file:PATH`); relative paths count from the file's folder.
"""

import datetime
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)
from yarl import URL

from clients.secrets.source import SecretSource, source_of
from service.address import is_loopback
from service.cross_checks import cross_problems_of

ACCESS_KEY_LIFETIME_MAX = datetime.timedelta(days=365)
CONFIG_FILE_DEFAULT = Path("/etc/cohort/cohort.toml")


class ConfigError(Exception):
    """The config cannot be used. `problems` holds every finding as `path: what is wrong`."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError("an address is HOST:PORT, e.g. 127.0.0.1:50051")
    return value


def _reference(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a reference has no control characters")
    source_of(value, environ={}, folder=Path())
    return value


def _base_url(value: str) -> str:
    url = URL(value)
    extra = url.query_string or url.fragment or url.user or url.password
    if url.scheme not in {"http", "https"} or not url.host or not url.port or extra:
        raise ValueError("a base URL is https://HOST without credentials, query or fragment")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError("plain http would send the Cohere key in clear: only loopback may use it")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise ValueError("a name is 1 to 63 of a-z, 0-9, _ and -, and starts with a letter or digit")
    return value


Address = Annotated[str, AfterValidator(_address)]
Reference = Annotated[str, AfterValidator(_reference)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=86_400)]
Scope = Literal["chat", "embed", "rerank", "usage:read", "keys:rotate", "audit:read", "admin"]
Endpoint = Literal["chat", "embed", "rerank"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class TlsConfig(_Section):
    """Where the server's certificate lies; both files are read again when they change."""

    certificate_file: Path
    """PEM, the server's certificate first, then its chain."""
    private_key_file: Path
    """PEM, readable by the service's user alone."""


class ServerConfig(_Section):
    """How callers reach the service. A change needs a restart."""

    listen: Address = "127.0.0.1:50051"
    plaintext_off_loopback: StrictBool = False
    """Serve without TLS on an address that other machines reach, e.g. behind a mesh's sidecar."""
    reflection: Literal["auto", "on", "off"] = "auto"
    """`auto`: on for loopback, off elsewhere."""
    message_bytes_max: StrictInt = Field(default=32 * 1024 * 1024, ge=4096, le=256 * 1024 * 1024)
    """Size of one request message; Cohere's 20 MB of images fit as base64."""
    body_timeout_seconds: Seconds = 10
    """How long a caller may take to send its request after its headers."""
    deadline_margin_ms: StrictInt = Field(default=20, ge=0, le=1000)
    """How long before the caller's deadline our own DEADLINE_EXCEEDED is sent."""
    drain_seconds: Seconds = 60
    """How long an attempt runs on after its caller left, and how long a stop waits."""
    tls: TlsConfig | None = None


class MetricsConfig(_Section):
    """Where Prometheus reads. A change needs a restart."""

    listen: Address = "127.0.0.1:9464"
    enabled: StrictBool = True


class TracingConfig(_Section):
    """OpenTelemetry spans (the `otel` extra), exported as the OTEL_* variables say. A change needs a restart."""

    enabled: StrictBool = False


class CohereConfig(_Section):
    """Traffic with Cohere. A change of anything but `base_url` needs a restart."""

    base_url: BaseUrl = "https://api.cohere.com"
    connections_max: StrictInt = Field(default=512, ge=1, le=65_536)
    """Requests to Cohere under way at once in this process."""
    pool_wait_seconds: Seconds = 1
    connect_timeout_seconds: Seconds = 10
    silence_timeout_seconds: Seconds = 300
    answer_bytes_max: StrictInt = Field(default=64 * 1024 * 1024, ge=4096)


class TeamConfig(_Section):
    """What one team uses and may use."""

    cohere_key: Reference
    base_url: BaseUrl | None = None
    """The team's own Cohere, e.g. a Model Vault; absent = `cohere.base_url`."""
    endpoints: frozenset[Endpoint] = frozenset({"chat", "embed", "rerank"})
    models: frozenset[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1)
    max_tokens_per_call: StrictInt = Field(ge=1, le=1_000_000)
    """Cap of a Chat's output tokens; also what a Chat without `max_tokens` asks for."""
    max_input_tokens_per_call: StrictInt | None = Field(default=None, ge=1)
    """Cap of the input, counted in bytes, of which a token has at least one."""


class AccessKeyConfig(_Section):
    """An access key's public half and what it may do."""

    id: str = Field(pattern=r"^[0-9A-Za-z]{12}$")
    hash: str = Field(pattern=r"^[0-9]{1,4}:[0-9a-f]{64}$")
    """`PEPPER_VERSION:HEX` — HMAC-SHA256 of the whole access key."""
    team: Name
    name: Name
    scopes: frozenset[Scope] = Field(min_length=1)
    expires_at: datetime.datetime

    @model_validator(mode="after")
    def _has_a_zone(self) -> "AccessKeyConfig":
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone, e.g. 2027-01-01T00:00:00Z")
        return self


class Config(_Section):
    """Everything the operator decides."""

    environment: str = Field(default="prod", pattern=r"^[a-z0-9]{1,16}$")
    """Stands inside every access key, so that a key of another environment is refused."""
    server: ServerConfig = ServerConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    cohere: CohereConfig = CohereConfig()
    teams: dict[Name, TeamConfig] = Field(min_length=1)
    peppers: dict[Annotated[str, Field(pattern=r"^[0-9]{1,4}$")], Reference] = Field(default_factory=dict)
    """Pepper version → where the pepper is kept."""
    access_keys: tuple[AccessKeyConfig, ...] = ()


class LoadedConfig:
    """A Config with what is needed to use it: where it came from and where its references lead."""

    def __init__(self, config: Config, *, file: Path, environ: Mapping[str, str]) -> None:
        self.config = config
        self.file = file
        self._environ = environ

    def secret(self, reference: str) -> SecretSource:
        """The source a reference of this config names."""
        return source_of(reference, environ=self._environ, folder=self.file.parent)

    def path(self, path: Path) -> Path:
        """A path of this config, counted from the file's folder."""
        return self.file.parent / path


def load(file: Path, environ: Mapping[str, str] = os.environ) -> LoadedConfig:
    """Reads and checks a config file.

    Raises:
        ConfigError: With every problem found.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: not TOML: {error}"]) from None
    contradictions = cross_problems_of(document)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        problems = [_problem(finding["loc"], finding["msg"]) for finding in error.errors()]
        raise ConfigError([*problems, *contradictions]) from None
    if contradictions:
        raise ConfigError(contradictions)
    return LoadedConfig(config, file=file, environ=environ)


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the config lies unless a command says so: what COHORT_CONFIG names, or `CONFIG_FILE_DEFAULT`."""
    return Path(environ.get("COHORT_CONFIG") or CONFIG_FILE_DEFAULT)


def environment_variable(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """A variable that the commands know, such as a caller's COHORT_ACCESS_KEY; None if it is unset or empty."""
    return environ.get(name) or None


def _problem(path: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{'.'.join(str(part) for part in path)}: {message}" if path else message

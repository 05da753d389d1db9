"""The sections of the config and what each setting means; docs/configuration.md has a line for each."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from service.config.base import Section
from service.config.identity import IdentityConfig
from service.config.limits import LimitsConfig, Rate, Tier
from service.config.pacing import KeyKind, PacingConfig
from service.config.secrets import SecretsConfig
from service.config.values import (
    Address,
    Amount,
    BaseUrl,
    DatabaseUrl,
    Endpoint,
    KeyReference,
    Name,
    PepperVersion,
    Reference,
    Seconds,
    TimeZone,
    VaultUrl,
)


class TlsConfig(Section):
    """Where the server's certificate lies; both files are read again when they change."""

    certificate_file: Path
    """PEM, the server's certificate first, then its chain."""
    private_key_file: Path
    """PEM, readable by the service's user alone."""


class MtlsConfig(Section):
    """A port of its own for callers with client certificates of `identity.trust_domains`; needs `server.tls`."""

    listen: Address


class ServerConfig(Section):
    """How callers reach the service. A change of anything but `in_flight_max` needs a restart."""

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
    in_flight_max: Rate | None = None
    """Calls of all teams under way at once in this process; absent = no cap."""
    tls: TlsConfig | None = None
    mtls: MtlsConfig | None = None


class MetricsConfig(Section):
    """Where Prometheus reads. A change needs a restart."""

    listen: Address = "127.0.0.1:9464"
    enabled: StrictBool = True


class TracingConfig(Section):
    """OpenTelemetry spans (the `otel` extra), exported as the OTEL_* variables say. A change needs a restart."""

    enabled: StrictBool = False


class CohereConfig(Section):
    """Traffic with Cohere. A change of anything but where Cohere is and `pacing` needs a restart."""

    base_url: BaseUrl = "https://api.cohere.com"
    vaults: frozenset[VaultUrl] = frozenset()
    """Where else Cohere keys may be sent, such as to Model Vaults."""
    sandbox: StrictBool = False
    """Whether Cohere may be on this machine."""
    connections_max: StrictInt = Field(default=512, ge=1, le=65_536)
    """Requests to Cohere under way at once in this process."""
    pool_wait_seconds: Seconds = 1
    connect_timeout_seconds: Seconds = 10
    silence_timeout_seconds: Seconds = 300
    answer_bytes_max: StrictInt = Field(default=64 * 1024 * 1024, ge=4096)
    key_check_seconds: Seconds = 300
    """How often each team's key is checked."""
    on_refused_key: Literal["serve", "refuse"] = "serve"
    """Whether a start goes on without a team whose key is not good."""
    pacing: PacingConfig = PacingConfig()


class BooksConfig(Section):
    """Where money and audit records are kept, and what is charged. A change of the database needs a restart."""

    database: DatabaseUrl = "sqlite:cohort.db"
    """`sqlite:PATH`, or `postgresql://USER@HOST:PORT/NAME` for several processes."""
    database_password: Reference | None = None
    """Where PostgreSQL's password is kept."""
    ballast_mib: StrictInt = Field(default=64, ge=0, le=65_536)
    """Kept free beside a SQLite file, so that what was begun can be recorded on a full disk; 0 for none."""
    strict: StrictBool = False
    """Charge the hold for what Cohere says that it failed at: 5xx, 408 and 409 with a JSON error body."""
    prices: Path | None = None
    """TOML whose models take the place of those of the shipped price book."""
    alert_cost_usd: Amount = Decimal(10)
    """An attempt that costs this much or more raises an alert."""


class AuditConfig(Section):
    """What the audit trail is made with. A change needs a restart."""

    hmac_key: Reference
    """Content is recorded as its HMAC-SHA256 under this key."""
    signing_key: Reference
    """Ed25519 private key, PEM, that signs the checkpoints."""
    checkpoint_file: Path = Path("checkpoints.jsonl")
    """The checkpoints once more, appended; best on another disk than the database."""


class TeamConfig(Section):
    """What one team uses and may use."""

    cohere_key: KeyReference
    """Where the team's Cohere key is kept."""
    cohere_key_previous: Reference | None = None
    """Where the one before is kept, beside an `env:` or `file:`."""
    cohere_key_kind: KeyKind | None = None
    """What Cohere's limits take the key for; absent = `cohere.pacing.key_kind`."""
    base_url: BaseUrl | None = None
    """The team's own Cohere, e.g. a Model Vault; absent = `cohere.base_url`."""
    endpoints: frozenset[Endpoint] = frozenset({"chat", "embed", "rerank"})
    models: frozenset[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1)
    max_tokens_per_call: StrictInt = Field(ge=1, le=1_000_000)
    """Cap of a Chat's output tokens; also what a Chat without `max_tokens` asks for."""
    max_input_tokens_per_call: StrictInt | None = Field(default=None, ge=1)
    """Cap of the input, counted in bytes, of which a token has at least one."""
    daily_budget_usd: Amount
    """What the team's calls may cost in one day; no call begins that could cost more than is left of it."""
    time_zone: TimeZone = "UTC"
    """Whose days they are."""
    tier: Tier = "enterprise"
    """How often the team may call; `enterprise`: what `limits` says and nothing else."""
    limits: LimitsConfig = LimitsConfig()


class Config(Section):
    """Everything the operator decides."""

    environment: str = Field(default="prod", pattern=r"^[a-z0-9]{1,16}$")
    """Stands inside every access key, so that a key of another environment is refused."""
    server: ServerConfig = ServerConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    cohere: CohereConfig = CohereConfig()
    books: BooksConfig = BooksConfig()
    audit: AuditConfig
    identity: IdentityConfig = IdentityConfig()
    secrets: SecretsConfig = SecretsConfig()
    teams: dict[Name, TeamConfig] = Field(min_length=1)
    peppers: dict[PepperVersion, Reference] = Field(default_factory=dict)
    """Pepper version → where the pepper is kept."""

"""What the operator decides: one frozen, typed Config, checked whole, and the only reader of file and environment."""

from service.config.identity import IdentityConfig, IssuerConfig, SpiffeIdConfig, TrustDomainConfig
from service.config.loading import LoadedConfig, config_file, environment_variable, load
from service.config.pacing import PacingConfig
from service.config.problems import ConfigError
from service.config.secrets import AwsConfig, AzureConfig, GcpConfig, SecretsConfig, VaultConfig
from service.config.sections import (
    AuditConfig,
    BooksConfig,
    CohereConfig,
    Config,
    MetricsConfig,
    MtlsConfig,
    ServerConfig,
    TeamConfig,
    TlsConfig,
    TracingConfig,
)
from service.config.values import Scope

__all__ = [
    "AuditConfig",
    "AwsConfig",
    "AzureConfig",
    "BooksConfig",
    "CohereConfig",
    "Config",
    "ConfigError",
    "GcpConfig",
    "IdentityConfig",
    "IssuerConfig",
    "LoadedConfig",
    "MetricsConfig",
    "MtlsConfig",
    "PacingConfig",
    "Scope",
    "SecretsConfig",
    "ServerConfig",
    "SpiffeIdConfig",
    "TeamConfig",
    "TlsConfig",
    "TracingConfig",
    "TrustDomainConfig",
    "VaultConfig",
    "config_file",
    "environment_variable",
    "load",
]

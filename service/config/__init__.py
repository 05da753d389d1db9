"""What the operator decides: one frozen, typed Config, checked whole, and the only reader of file and environment."""

from service.config.loading import LoadedConfig, config_file, environment_variable, load
from service.config.problems import ConfigError
from service.config.sections import (
    ACCESS_KEY_LIFETIME_MAX,
    AccessKeyConfig,
    AuditConfig,
    BooksConfig,
    CohereConfig,
    Config,
    MetricsConfig,
    ServerConfig,
    TeamConfig,
    TlsConfig,
    TracingConfig,
)
from service.config.values import Scope

__all__ = [
    "ACCESS_KEY_LIFETIME_MAX",
    "AccessKeyConfig",
    "AuditConfig",
    "BooksConfig",
    "CohereConfig",
    "Config",
    "ConfigError",
    "LoadedConfig",
    "MetricsConfig",
    "Scope",
    "ServerConfig",
    "TeamConfig",
    "TlsConfig",
    "TracingConfig",
    "config_file",
    "environment_variable",
    "load",
]

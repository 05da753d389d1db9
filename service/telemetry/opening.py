"""Opens what the config asks for to be told by: the metrics' port, and tracing."""

import contextlib
from typing import TYPE_CHECKING

from service.config import Config, ConfigError
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from service.telemetry.tracing import Tracing


def serve_metrics(config: Config, metrics: Metrics, stack: contextlib.AsyncExitStack) -> int | None:
    """Serves the metrics until *stack* is left; their port, or None if they are off.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    if not config.metrics.enabled:
        return None
    try:
        server = metrics.serve(config.metrics.listen)
    except OSError as error:
        raise ConfigError([f"metrics.listen: {config.metrics.listen}: {error.strerror}"]) from None
    stack.callback(server.close)
    return server.port


def open_tracing(config: Config, stack: contextlib.AsyncExitStack) -> "Tracing | None":
    """Opens tracing until *stack* is left; None if it is off.

    Raises:
        ConfigError: Its extra is not installed.
    """
    if not config.tracing.enabled:
        return None
    try:
        from service.telemetry.tracing import Tracing  # noqa: PLC0415 (an optional extra)
    except ImportError:
        raise ConfigError(["tracing.enabled: install cohort[otel]"]) from None
    tracing = Tracing()
    stack.callback(tracing.close)
    return tracing

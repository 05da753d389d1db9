"""What a process that holds secrets must not do, whatever its config says."""

import resource

from google.protobuf.internal import api_implementation

from service.config import ConfigError, environment_variable

# gRPC's tracers print metadata, and with it credentials.
_TELLTALE = ("GRPC_TRACE",)


def secure() -> None:
    """Leaves no core dumps, and refuses to start where memory or metadata would leak or input could crash it.

    Raises:
        ConfigError: The process cannot be made safe.
    """
    problems = [f"{name}: would print credentials; unset it" for name in _TELLTALE if environment_variable(name)]
    if api_implementation.Type() != "upb":
        problems.append("protobuf: the upb backend is missing; the pure Python one recurses on hostile input")
    if problems:
        raise ConfigError(problems)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

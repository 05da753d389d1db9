"""How the process is set up, whatever its config says: what must not leak, and who runs when."""

import ctypes
import resource
import sys

from google.protobuf.internal import api_implementation

from service.config import ConfigError, environment_variable

SWITCH_INTERVAL_S = 0.0005
_PR_SET_DUMPABLE = 4  # linux/prctl.h

# gRPC's tracers print metadata, and with it credentials; the other has OpenSSL write down what opens a connection.
_TELLTALE = ("GRPC_TRACE", "SSLKEYLOGFILE")


def secure() -> None:
    """Leaves no core dumps, lets threads take turns quickly, and refuses to start where memory or metadata would
    leak or input could crash it.

    Raises:
        ConfigError: The process cannot be made safe.
    """
    problems = [f"{name}: would show credentials; unset it" for name in _TELLTALE if environment_variable(name)]
    if api_implementation.Type() != "upb":
        problems.append("protobuf: the upb backend is missing; the pure Python one recurses on hostile input")
    if problems:
        raise ConfigError(problems)
    # Large messages are worked on in threads; the loop, which lets go of the interpreter at every system call, must
    # not wait 5 ms each time to get it back.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":  # which does not heed the limit where it hands core dumps to a program (core(5))
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

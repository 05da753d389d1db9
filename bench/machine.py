"""Where figures were measured: without this they say little."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import apsw

from bench import postgres

_DISTRIBUTIONS = ("grpcio", "protobuf", "uvloop", "orjson", "prometheus-client", "apsw", "asyncpg")
_PROGRAMS = {"h2load": ("h2load", "--version"), "nginx": ("nginx", "-v")}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def load_average() -> float:
    """What else runs on the machine, as the mean number of busy processes in the last minute."""
    return os.getloadavg()[0]


def processor() -> str:
    """The processor's name."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def versions() -> dict[str, str]:
    """Of everything that the figures depend on."""
    libraries = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    programs = {name: _version_of(command) for name, command in _PROGRAMS.items()}
    databases = {"sqlite": apsw.sqlite_lib_version(), "postgresql": postgres.version()}
    return {"kernel": platform.release(), "python": platform.python_version(), **libraries, **programs, **databases}


def _version_of(command: tuple[str, ...]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found[0] if found else "unknown"

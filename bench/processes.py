"""Servers in processes of their own: started, asked for their CPU time, stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parent.parent
START_S_MAX = 30.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not start, or ended by itself."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        name: As tables name it.
        process: Its process.
        log: Where its lines of JSON go.
        port: Where it serves gRPC.
        metrics_port: Where Prometheus would read, None if nowhere.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    port: int
    metrics_port: int | None

    def cpu_s(self) -> float:
        """CPU time of all its threads since it started, user and system (proc(5), in ticks of 10 ms)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        # The second field is the program's name and may hold anything but ")".
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def python_server(name: str, arguments: Sequence[str], folder: Path) -> Iterator[Server]:
    """Runs `python ARGUMENTS`, a server that says in a line of JSON that it is serving, and on which port.

    Args:
        name: As tables name it.
        arguments: Of the interpreter.
        folder: Where its output goes.

    Raises:
        ServerFailed: It did not start.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        serving = line_of(log, "serving", process)
        yield Server(name, process, log, serving["port"], serving.get("metrics_port"))
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def told_by(server: Server, event: str) -> dict[str, Any]:
    """Asks a server by SIGUSR1 for its line of JSON whose `event` is *event*.

    Raises:
        ServerFailed: It says nothing.
    """
    written_bytes = server.log.stat().st_size
    server.process.send_signal(signal.SIGUSR1)
    return line_of(server.log, event, server.process, after=written_bytes)


def line_of(log: Path, event: str, process: subprocess.Popen[bytes], after: int = 0) -> dict[str, Any]:
    """Waits for a line of JSON whose `event` is *event*, past *after* bytes of the log.

    Raises:
        ServerFailed: The process ended first, or took longer than `START_S_MAX`.
    """
    give_up_s = time.monotonic() + START_S_MAX
    marker = f'"event":"{event}"'.encode()
    while time.monotonic() < give_up_s:
        with log.open("rb") as file:
            file.seek(after)
            for line in file:
                if marker in line and line.endswith(b"\n"):
                    found: dict[str, Any] = orjson.loads(line)
                    return found
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise ServerFailed(f"no line {event!r} in {log}:\n{log.read_text()[-2000:]}")

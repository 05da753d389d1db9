"""The `cohort` command as a process of its own."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
COMMAND = (sys.executable, "-m", "service.cli")


def environment(**more: str) -> dict[str, str]:
    """The environment of a newcomer: nothing of Cohort's or Cohere's is set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COHORT_", "CO_", "COHERE_"))}
    return {**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "PYTHONUNBUFFERED": "1", **more}


def free_addresses(count: int) -> list[str]:
    """Loopback addresses that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


class Process:
    """A running command whose lines are read as they come."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.output = ""
        """What stdout and stderr showed so far, as far as it was waited for."""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until(self, text: str) -> str:
        """Waits for a line that holds *text*; gives all of the output up to there.

        Raises:
            AssertionError: The output ended, or `PATIENCE_S` passed, without it.
        """
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if line is None:
                raise AssertionError(f"{text!r} never came: {self.output}")
            self.output += line
            if text in line:
                return self.output

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._popen.send_signal(number)

    def ended(self) -> int:
        """Waits for the end; gives the exit code."""
        code = self._popen.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        while (line := self._lines.get_nowait()) is not None:
            self.output += line
        return code

    def close(self) -> None:
        """Ends it, should it still run."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def _read(self) -> None:
        stream = self._popen.stdout
        if stream is not None:
            with stream:
                for line in stream:
                    self._lines.put(line)
        self._lines.put(None)


@contextlib.contextmanager
def started(*arguments: str, folder: Path, **more_environment: str) -> Iterator[Process]:
    """Starts `cohort ARGUMENTS` in a folder, and makes sure of its end."""
    popen = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**more_environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    process = Process(popen)
    try:
        yield process
    finally:
        process.close()


def ran(words: Sequence[str], folder: Path, **more_environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return subprocess.run(
        words,
        cwd=folder,
        env=environment(**more_environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

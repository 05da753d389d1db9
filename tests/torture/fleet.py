"""The real processes of a torture: the sandbox, and replicas of the service on one database."""

import asyncio
import datetime
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.books_lines import books_lines
from tests.e2e.cohort_service import team_lines
from tests.e2e.processes import COMMAND, PATIENCE_S, ROOT, environment, free_addresses
from tests.key_tables import PEPPER, access_key_lines, take_over_keys

MODELS = ("command-a-03-2025", "embed-v4.0", "rerank-v3.5")
DRAIN_S = 3


@dataclass(frozen=True)
class Team:
    name: str
    budget_usd: str
    access_key: str
    config: str


def noon_zone() -> str:
    """A time zone in which it is about noon, so that no day ends meanwhile."""
    ahead = 12 - datetime.datetime.now(datetime.UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def team_of(name: str, budget_usd: str, base_url: str, zone: str, extra: str) -> Team:
    access_key, key_lines = access_key_lines(name, "torture", ["chat", "embed", "rerank", "admin"])
    models = orjson.dumps(MODELS).decode()
    lines = team_lines(name, base_url, models=models, budget_usd=budget_usd, zone=zone, extra=extra)
    return Team(name, budget_usd, access_key, lines + key_lines)


class Process:
    """A program whose output goes to a file, over all its runs."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._command = command
        self._output = output
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._popen = subprocess.Popen(
                self._command, cwd=ROOT, env=environment(), stdout=output, stderr=subprocess.STDOUT
            )

    def send(self, number: signal.Signals) -> None:
        if self._popen is not None:
            self._popen.send_signal(number)

    @property
    def has_ended(self) -> bool:
        return self._popen is None or self._popen.poll() is not None

    def wait(self) -> int:
        return self._popen.wait(PATIENCE_S) if self._popen is not None else 0

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()


class Replica(Process):
    """One replica of the service, and what of it is known from outside."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__((*COMMAND, "serve", "--config", str(folder / "cohort.toml")), folder / "log.jsonl")
        self.address = address
        self.folder = folder
        self.is_up = False
        """It serves, as far as anybody knows."""
        self._read = 0

    async def started(self) -> float:
        """Starts it, again and again while the database is away; returns after how many seconds it serves."""
        began_s = time.monotonic()
        self.start()
        while not any(line.get("event") == "serving" for line in self._new_lines()):
            if self.has_ended:
                last = self.output.splitlines()[-2:]  # PostgreSQL may say it in two lines
                assert any(line.startswith("books.database: ") for line in last), last
                self.start()
            await asyncio.sleep(0.02)
        self.is_up = True
        return time.monotonic() - began_s

    def kill(self) -> None:
        self.is_up = False
        super().kill()

    def stop(self) -> int:
        """Asks it to end well; returns its exit code."""
        self.is_up = False
        self.send(signal.SIGTERM)
        return self.wait()

    @property
    def output(self) -> str:
        return self._output.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """All it has logged, in all its runs; what a kill cut off is left out."""
        return list(filter(None, map(_line_of, self._output.read_bytes().splitlines())))

    def _new_lines(self) -> list[dict[str, Any]]:
        with self._output.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole + newline)
        return list(filter(None, map(_line_of, whole.splitlines())))


def _line_of(line: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return parsed


class Fleet:
    """Everything that runs, and where it lies.

    Args:
        folder: Its own.
        database: Where the books are kept: a URL, or a file's name beside the configs.
        replicas: How many.
        budgets_usd: The budget of each team, by its name.
        extra: More lines of each team.
    """

    def __init__(
        self, folder: Path, database: str, replicas: int, budgets_usd: dict[str, str], extra: str = ""
    ) -> None:
        sandbox, *addresses = free_addresses(replicas + 1)
        port = sandbox.rpartition(":")[2]
        self.sandbox_url = f"http://{sandbox}"
        self.bill_file = folder / "bill.jsonl"
        self.bill_file.touch()
        command = (sys.executable, "-m", "tests.torture.sandbox_process", port, str(self.bill_file))
        self.sandbox = Process(command, folder / "sandbox.log")
        zone = noon_zone()
        self.teams = [team_of(name, usd, self.sandbox_url, zone, extra) for name, usd in budgets_usd.items()]
        lines = books_lines(folder, database=database)
        self.replicas = [self._replica(folder, number, address, lines) for number, address in enumerate(addresses)]

    @property
    def config_file(self) -> Path:
        """Any replica's: they say the same of the books."""
        return self.replicas[0].folder / "cohort.toml"

    def _replica(self, folder: Path, number: int, address: str, lines: str) -> Replica:
        own = folder / str(number)
        own.mkdir()
        (own / "pepper").write_text(PEPPER)
        for secret in ("audit-hmac.key", "audit-signing.key"):
            (own / secret).write_bytes((folder / secret).read_bytes())
        for team in self.teams:
            (own / f"{team.name}.key").write_text(f"torture-{team.name}")
        (own / "cohort.toml").write_text(
            f'environment = "test"\n[server]\nlisten = "{address}"\ndrain_seconds = {DRAIN_S}\n'
            "deadline_margin_ms = 20\n[metrics]\nenabled = false\n"
            "[cohere]\nsandbox = true\nsilence_timeout_seconds = 2\n"
            '[cohere.pacing]\nkey_kind = "off"\n'
            f'[peppers]\n1 = "file:pepper"\n{lines}{"".join(team.config for team in self.teams)}'
        )
        take_over_keys(own / "cohort.toml")
        return Replica(own, address)

    def close(self) -> None:
        """Ends whatever still runs."""
        for process in (*self.replicas, self.sandbox):
            process.send(signal.SIGCONT)
            process.kill()

"""Cohort and its sandbox, each a process of its own, as someone on the network meets them."""

import contextlib
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import grpc.aio
import orjson

from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.books_lines import books_lines
from tests.e2e.cohort_service import team_lines
from tests.e2e.processes import COMMAND, PATIENCE_S, ROOT, environment, free_addresses
from tests.e2e.requests import rerank
from tests.key_tables import PEPPER, access_key_lines, take_over_keys

if TYPE_CHECKING:
    from cohort.v1.gateway_service_pb2_grpc import GatewayServiceAsyncStub

BODY_TIMEOUT_S = 2


@dataclass(frozen=True)
class Edge:
    """A running service, seen from outside."""

    port: int
    pid: int
    access_key: str
    access_keys: dict[str, str]
    sandbox_url: str
    log_file: Path

    @property
    def credentials(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", self.access_key),)

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A connection of its own: channels of one process share theirs unless told not to."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=options) as channel:
            await channel.channel_ready()
            yield channel

    @contextlib.asynccontextmanager
    async def stub(self) -> AsyncIterator["GatewayServiceAsyncStub"]:
        async with self.channel() as channel:
            yield GatewayServiceStub(channel)

    async def answers(self) -> None:
        """A well-behaved caller on a new connection is answered."""
        async with self.stub() as stub:
            response = await stub.Rerank(rerank(), metadata=self.credentials, timeout=PATIENCE_S)

        assert [result.index for result in response.results] == [1, 0]

    def forget_peak(self) -> None:
        """Begins to measure the peak of memory anew (proc_pid_clear_refs(5))."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def memory_bytes(self, *, peak: bool) -> int:
        """Memory of the service's process, now or at its peak."""
        name = "VmHWM:" if peak else "VmRSS:"
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; every line of it is JSON."""
        return [orjson.loads(line) for line in self.log_file.read_bytes().splitlines()]

    def fault(self, **fault: object) -> None:
        """What the sandbox does wrong next."""
        self._sandbox("faults", [fault])

    def upstream_requests(self) -> list[dict[str, Any]]:
        """What reached the sandbox since it was last reset."""
        requests: list[dict[str, Any]] = self._sandbox("requests")["requests"]
        return requests

    def forget_upstream(self) -> None:
        """Resets the sandbox."""
        self._sandbox("reset", {})

    def _sandbox(self, what: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.sandbox_url}/sandbox/{what}",
            data=None if body is None else orjson.dumps(body),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return orjson.loads(answer.read())


@contextlib.contextmanager
def edge_in(folder: Path) -> Iterator[Edge]:
    """Starts a sandbox and a service in front of it; a body has `BODY_TIMEOUT_S` to arrive."""
    (address,) = free_addresses(1)
    access_key, lines = access_key_lines("demo", "tests", ["chat", "embed", "rerank"])
    narrow_key, narrow_lines = access_key_lines("demo", "narrow", ["usage:read"])
    expired_key, expired_lines = access_key_lines("demo", "old", ["chat"], days=-1)
    (folder / "pepper").write_text(PEPPER)
    (folder / "demo.key").write_text("sandbox-production")
    config = folder / "cohort.toml"
    config.write_text(
        'environment = "test"\n[server]\nlisten = "127.0.0.1:0"\ndrain_seconds = 2\n'
        f'body_timeout_seconds = {BODY_TIMEOUT_S}\n[metrics]\nlisten = "127.0.0.1:0"\n[cohere]\nsandbox = true\n'
        '[cohere.pacing]\nkey_kind = "off"\n[peppers]\n1 = "file:pepper"\n'
        f"{books_lines(folder)}{team_lines('demo', f'http://{address}')}{lines}{narrow_lines}{expired_lines}"
    )
    take_over_keys(config)
    with (
        _running(folder / "sandbox.log", "sandbox", "--listen", address) as (_, sandbox_log),
        _running(folder / "cohort.log", "serve", "--config", str(config)) as (process, log_file),
    ):
        _line_with(sandbox_log, b"Its Cohere keys")
        port = orjson.loads(_line_with(log_file, b'"serving"'))["port"]
        keys = {"narrow": narrow_key, "expired": expired_key}
        yield Edge(port, process.pid, access_key, keys, f"http://{address}", log_file)


@contextlib.contextmanager
def _running(log_file: Path, *arguments: str) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
    with log_file.open("wb") as log:
        process = _started(log, *arguments)
        try:
            yield process, log_file
        finally:
            process.kill()
            process.wait(PATIENCE_S)


def _started(log: IO[bytes], *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, env=environment(), stdout=log, stderr=subprocess.STDOUT)


def _line_with(file: Path, text: bytes) -> bytes:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        for line in file.read_bytes().splitlines(keepends=True):
            if text in line and line.endswith(b"\n"):
                return line
        time.sleep(0.02)
    raise AssertionError(f"{text!r} never came: {file.read_text()}")

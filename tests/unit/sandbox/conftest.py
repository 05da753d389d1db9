"""A sandbox and a plain HTTP client beside it, in the loop of the test."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest

from clients.sandbox import Sandbox

HI: dict[str, Any] = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "Hi"}]}
STREAM: dict[str, Any] = {**HI, "stream": True}
CHAT_COST_NANOS = 2_500 + 9 * 10_000  # "Hi" is one token, the answer nine


@dataclass
class Clock:
    """Seconds that pass only when told to."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)


@dataclass
class Local:
    """The sandbox as a caller over HTTP sees it, and as a test may look into it."""

    sandbox: Sandbox
    clock: Clock
    url: str
    session: aiohttp.ClientSession
    key: str = "sandbox-production"
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answered:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}", **self.headers}
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        data = None if body is None else io.BytesIO(raw)
        async with self.session.request(method, self.url + path, data=data, headers=headers) as response:
            raw = await response.read()
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answered(response.status, found, raw)

    async def chat(self, *, key: str | None = None, **members: Any) -> Answered:
        return await self.ask("POST", "/v2/chat", {**HI, **members}, key=key)

    async def bill(self) -> Any:
        return (await self.ask("GET", "/sandbox/bill")).json

    async def cost_nanos(self) -> int:
        return int((await self.bill())["cost_nanos"])

    async def pieces(self, body: dict[str, Any]) -> list[bytes]:
        """What arrives of a chat's answer, read by read, until its end or its failure."""
        pieces: list[bytes] = []
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.session.post(self.url + "/v2/chat", data=orjson.dumps(body), headers=headers) as response:
            try:
                async for piece in response.content.iter_any():
                    pieces.append(piece)  # noqa: PERF401 - what came before a failure counts
            except aiohttp.ClientPayloadError:
                pieces.append(b"<broken>")
        return pieces

    async def queue(self, **fault: Any) -> None:
        answered = await self.ask("POST", "/sandbox/faults", {"faults": [fault]})
        assert answered.status == 200, answered.raw


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    timeout = aiohttp.ClientTimeout(total=20)
    async with sandbox.serve() as url, aiohttp.ClientSession(timeout=timeout) as session:
        yield Local(sandbox, clock, url, session)
        await asyncio.sleep(0)

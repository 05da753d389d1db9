"""Gates: places in a call where it waits until a test lets it go on, so that its caller can leave exactly there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

import orjson
import pytest
from aiohttp import web

from clients.sandbox import wire
from service.bookkeeping import Bookkeeping
from service.books.books import Books
from service.books.committer import Committer
from service.books.entries import Admission, Entry


class Gate:
    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


class SandboxGate(Gate):
    """Stops one answer of the sandbox, whose work is done and billed by then.

    Args:
        frames: How many frames of a stream go out before it stops; 0 is the head alone, -1 is nothing.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.sent = 0


_passing: ContextVar[SandboxGate | None] = ContextVar("gate", default=None)


def stop_answers(monkeypatch: pytest.MonkeyPatch, gates: dict[str, SandboxGate]) -> None:
    """Puts a gate into the answer to each chat whose last message is a key of *gates*."""
    send, write = wire.send, web.StreamResponse.write

    async def gated_send(request: web.Request, *rest: Any) -> web.StreamResponse:
        gate = gates.get(orjson.loads(await request.read())["messages"][-1]["content"])
        _passing.set(gate)
        if gate is not None and gate.frames < 0:
            await gate.wait()
        return await send(request, *rest)

    async def gated_write(response: web.StreamResponse, data: bytes) -> None:
        gate = _passing.get()
        if gate is not None and gate.sent == gate.frames == 0:
            await gate.wait()
        await write(response, data)
        if gate is not None:
            gate.sent += 1
            if gate.sent == gate.frames:
                await gate.wait()

    monkeypatch.setattr(wire, "send", gated_send)
    monkeypatch.setattr(web.StreamResponse, "write", gated_write)


def stop_before_admit(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """Puts a gate before the books are asked."""
    admit = Books.admit

    async def gated(books: Books, admission: Admission, *rest: Any) -> Any:
        await gate.wait()
        return await admit(books, admission, *rest)

    monkeypatch.setattr(Books, "admit", gated)


def stop_commit(
    monkeypatch: pytest.MonkeyPatch, kept: Bookkeeping, kind: type[Entry], gate: Gate, *, durable: bool
) -> None:
    """Puts a gate into the commit of the next entry of a kind: before it, or when it is *durable* and nobody knows."""
    write = Committer._write
    stopping = False

    async def gated_write(committer: Committer, batch: Sequence[Entry], *rest: Any) -> None:
        nonlocal stopping
        stopping = not gate.reached.is_set() and any(isinstance(entry, kind) for entry in batch)
        await write(committer, batch, *rest)

    def gated(transact: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def gated_transact(*work: Any, **how: Any) -> Any:
            nonlocal stopping
            stops, stopping = stopping, False
            if stops and not durable:
                await gate.wait()
            result = await transact(*work, **how)
            if stops and durable:
                await gate.wait()
            return result

        return gated_transact

    monkeypatch.setattr(Committer, "_write", gated_write)
    monkeypatch.setattr(kept.database, "transact", gated(kept.database.transact))
    monkeypatch.setattr(kept.database, "run", gated(kept.database.run))

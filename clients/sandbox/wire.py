"""Puts an answer on the wire, whole or with the faults of a connection."""

import asyncio
import gzip
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from clients.sandbox.content_faults import encode_events
from clients.sandbox.faults import Fault

_GZIP_WINDOW = 31
_DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Outgoing:
    """What is to be sent: a body, or the events of a stream."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    events: list[dict[str, Any]] | None = field(default=None)


async def send(request: web.Request, outgoing: Outgoing, fault: Fault, closing: asyncio.Event) -> web.StreamResponse:
    """Sends an answer and returns the response that was, or is to be, written."""
    if fault.silence:
        await closing.wait()
    if fault.disconnect or fault.silence:
        await _cut(request, reset=fault.reset)
        return web.Response()
    if fault.gzip:
        outgoing.headers["Content-Encoding"] = "gzip"
    if outgoing.events is None:
        return await _send_body(request, outgoing, fault)
    return await _send_events(request, outgoing, fault, closing)


async def _send_body(request: web.Request, outgoing: Outgoing, fault: Fault) -> web.StreamResponse:
    data = gzip.compress(outgoing.body, mtime=0) if fault.gzip else outgoing.body
    if fault.cut_after_bytes is None and fault.split_bytes is None:
        return web.Response(status=outgoing.status, headers=outgoing.headers, body=data)
    response = web.StreamResponse(status=outgoing.status, headers=outgoing.headers)
    response.content_length = len(data)
    await response.prepare(request)
    # Without its end the body is shorter than the length it was announced with.
    for piece in _split(data[: fault.cut_after_bytes], fault.split_bytes):
        await response.write(piece)
        await asyncio.sleep(0)
    if fault.cut_after_bytes is not None:
        await _cut(request, reset=fault.reset)
    return response


async def _send_events(
    request: web.Request, outgoing: Outgoing, fault: Fault, closing: asyncio.Event
) -> web.StreamResponse:
    response = web.StreamResponse(status=outgoing.status, headers=outgoing.headers)
    await response.prepare(request)
    packer = zlib.compressobj(wbits=_GZIP_WINDOW) if fault.gzip else None
    sent_bytes = 0
    for chunk in _chunks(outgoing.events or [], fault):
        data = packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else chunk
        if fault.cut_after_bytes is not None and sent_bytes + len(data) > fault.cut_after_bytes:
            await response.write(data[: fault.cut_after_bytes - sent_bytes])
            break
        await response.write(data)
        sent_bytes += len(data)
        if fault.chunk_gap_ms or fault.split_bytes or fault.endless:
            await asyncio.sleep(fault.chunk_gap_ms / 1000)
        if closing.is_set():
            break
    if fault.stall_after_events is not None:
        await closing.wait()
    if packer and fault.eof_after_events is None:
        await response.write(packer.flush())
    if fault.cut_after_events is not None or fault.cut_after_bytes is not None:
        await _cut(request, reset=fault.reset)
    return response


def _chunks(events: list[dict[str, Any]], fault: Fault) -> Iterator[bytes]:
    """What is written one after the other: a frame each, or all at once, or pieces of every frame."""
    frames = _frames(events, fault)
    if fault.merge and not fault.endless:
        frames = iter([b"".join(frames)])
    for frame in frames:
        yield from _split(frame, fault.split_bytes)


def _frames(events: list[dict[str, Any]], fault: Fault) -> Iterator[bytes]:
    """The stream as server-sent events, as far as the fault lets it come."""
    ends = (fault.stall_after_events, fault.cut_after_events, fault.eof_after_events)
    events_max = min((end for end in ends if end is not None), default=None)
    encoded = encode_events(fault, events)
    whole = events_max is None and not fault.endless
    if fault.endless:
        encoded = encoded[:-1]
    for kind, data in encoded[:events_max]:
        yield _frame(kind, data, fault)
    if fault.endless and events_max is None:
        delta = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": " more"}}}}
        data = orjson.dumps(delta)
        while True:
            yield _frame("content-delta", data, fault)
    if whole:
        yield _DONE.replace(b"\n", b"\r\n") if fault.crlf else _DONE


def _frame(kind: str, data: bytes, fault: Fault) -> bytes:
    frame = b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
    if fault.comments:
        frame = b": keep-alive\n\n:\n" + frame
    return frame.replace(b"\n", b"\r\n") if fault.crlf else frame


def _split(data: bytes, size: int | None) -> Iterator[bytes]:
    if size is None or not data:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _cut(request: web.Request, *, reset: bool) -> None:
    """Ends the connection after what was written: with a FIN, or with a RST."""
    transport = request.transport
    if transport is None:
        return
    # A transport tells nobody when its buffer is empty.
    while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    if reset:
        _make_close_a_reset(transport.get_extra_info("socket").fileno())
    transport.abort()


def _make_close_a_reset(fileno: int) -> None:
    # A duplicate, because the loop's own socket object does not allow options on every event loop.
    with socket.socket(fileno=os.dup(fileno)) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

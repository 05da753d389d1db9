"""Connections that say nothing, nonsense, or the same thing for ever."""

import asyncio
import contextlib
import itertools
import struct

import pytest

from tests.hardening import frames
from tests.hardening.edge import Edge
from tests.hardening.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    request_fields,
)
from tests.hardening.raw import raw_connection

RPC = "/cohort.v1.GatewayService/Rerank"
SILENT_CONNECTIONS = 150
FLOOD_BYTES = 16 * 1024 * 1024


async def test_connections_that_never_get_to_speak_are_closed(edge: Edge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(raw_connection(edge.port, greeted=False)) for _ in range(SILENT_CONNECTIONS)
        ]
        for connection, said in zip(connections, itertools.cycle((b"", PREFACE[:10], PREFACE)), strict=False):
            await connection.send(said)
        await edge.answers()

        # Without the service's own timeout they stay for two minutes, longer than a test may take.
        await asyncio.gather(*(connection.until_closed() for connection in connections))


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: cohort\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\x00" * 4096,
        PREFACE + frame(SETTINGS, 0, 1),
        PREFACE + frame(SETTINGS, 0, 0, b"\x00"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(DATA, 0, 0, b"x"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 2, request_fields(RPC)),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, b"\xff" * 100),
        PREFACE + frame(SETTINGS, 0, 0) + frame(CONTINUATION, END_HEADERS, 1, request_fields(RPC)),
        PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)) * 2,
        PREFACE + frame(SETTINGS, 0, 0) + b"\xff\xff\xff" + frame(DATA, 0, 1)[3:] + bytes(100_000),
    ],
    ids=[
        "HTTP/1.1",
        "TLS",
        "zeros",
        "SETTINGS on a stream",
        "a short setting",
        "DATA without a stream",
        "a stream of the server",
        "HPACK that is none",
        "CONTINUATION of nothing",
        "a window beyond its bound",
        "a frame of 16 MiB",
    ],
)
async def test_what_is_not_http_2_ends_the_connection_or_nothing(edge: Edge, said: bytes) -> None:
    async with raw_connection(edge.port, greeted=False) as connection:
        await connection.send(said)
        # gRPC ignores some of it: then the connection still answers a ping, and the fixture asks for a good call.
        await connection.send(frame(PING, 0, 0, bytes(8)))
        await connection.until(lambda: connection.closed or connection.goaway is not None or connection.pongs > 0)


async def test_a_flood_of_pings_ends_the_connection(edge: Edge) -> None:
    goaway = None
    while goaway is None:  # whoever still sends to a closed socket gets a reset, which can overtake the GOAWAY
        async with raw_connection(edge.port) as connection:
            for number in itertools.count():
                await connection.send(frame(PING, 0, 0, struct.pack(">Q", number)))
                if connection.closed:
                    break
                await asyncio.sleep(0)
            goaway = connection.goaway

    assert goaway == frames.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "repeated",
    [
        frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)) * 500,
        frame(PRIORITY, 0, 1, bytes(5)) * 500,
        frame(WINDOW_UPDATE, 0, 99, struct.pack(">I", 1)) * 500,
        frame(DATA, 0, 1) * 500,
        frame(0xBB, 0, 0, bytes(1000)) * 10,
    ],
    ids=["SETTINGS", "PRIORITY", "WINDOW_UPDATE", "empty DATA", "an unknown frame"],
)
async def test_a_flood_of_small_frames_takes_no_memory(edge: Edge, repeated: bytes) -> None:
    async with raw_connection(edge.port) as connection:
        await connection.send(frame(HEADERS, END_HEADERS, 1, request_fields(RPC, *edge.credentials)))
        for _ in range(FLOOD_BYTES // len(repeated)):
            await connection.send(repeated)
            if connection.closed:
                break
        await edge.answers()


async def test_headers_without_end_take_bounded_memory(edge: Edge) -> None:
    async with raw_connection(edge.port) as connection:
        await connection.send(frame(HEADERS, 0, 1, request_fields(RPC)))
        piece = frames.field("x-more", "x" * 16_000)
        for _ in range(4 * FLOOD_BYTES // len(piece)):
            await connection.send(frame(CONTINUATION, 0, 1, piece))
            if connection.closed:
                break
        await edge.answers()

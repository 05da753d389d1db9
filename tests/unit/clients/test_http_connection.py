"""One exchange over a connection whose peer is played byte by byte."""

import asyncio
import gzip
import itertools
import zlib
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.http.connection import BUFFERED_BYTES_MAX, Connection
from clients.http.faults import Disconnected, HttpFault, NotHttp, Silent, TooLarge

BODY_MAX = 1_000_000


class Peer:
    """Stands for the transport: keeps what was written, and says whether reading is paused."""

    def __init__(self) -> None:
        self.written = b""
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def opened(silence_timeout_s: float = 60.0) -> tuple[Connection, Peer]:
    connection, peer = Connection(BODY_MAX, silence_timeout_s), Peer()
    connection.connection_made(cast("asyncio.Transport", peer))
    return connection, peer


async def exchanged(answer: bytes, cuts: list[int], *, closes: bool = False) -> tuple[int, bytes, Connection]:
    """Sends a request, feeds the answer in pieces, and reads it whole."""
    connection, _ = opened()
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"{}")

    async def read() -> bytes:
        await connection.head()
        return await connection.body()

    reader = asyncio.create_task(read())
    edges = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    for start, end in itertools.pairwise(edges):
        await asyncio.sleep(0)
        if start < end:
            connection.data_received(answer[start:end])
    if closes:
        connection.connection_lost(None)
    return connection.status, await reader, connection


def chunked(body: bytes, sizes: list[int]) -> bytes:
    out, rest = b"", body
    for size in sizes:
        piece, rest = rest[:size], rest[size:]
        if piece:
            out += b"%x\r\n%s\r\n" % (len(piece), piece)
    if rest:
        out += b"%x\r\n%s\r\n" % (len(rest), rest)
    return out + b"0\r\n\r\n"


cuts_of = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.binary(max_size=500), cuts_of)
def test_a_counted_body_survives_every_cut(body: bytes, cuts: list[int]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    status, read, connection = asyncio.run(exchanged(answer, cuts))

    assert (status, read, connection.reusable) == (200, body, True)


@given(st.binary(max_size=500), st.lists(st.integers(1, 50), max_size=9), cuts_of)
def test_a_chunked_body_survives_every_cut(body: bytes, sizes: list[int], cuts: list[int]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, sizes)
    status, read, connection = asyncio.run(exchanged(answer, cuts))

    assert (status, read, connection.reusable) == (200, body, True)


@given(st.binary(max_size=2000), st.booleans(), cuts_of)
def test_a_compressed_body_survives_every_cut(body: bytes, gzipped: bool, cuts: list[int]) -> None:  # noqa: FBT001
    packed = gzip.compress(body) if gzipped else zlib.compress(body)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)

    assert asyncio.run(exchanged(answer, cuts))[1] == body


@given(st.binary(max_size=200), cuts_of)
def test_a_body_without_a_length_ends_with_the_connection(body: bytes, cuts: list[int]) -> None:
    status, read, connection = asyncio.run(exchanged(b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts, closes=True))

    assert (status, read, connection.reusable) == (200, body, False)


@given(st.binary(max_size=300), cuts_of)
def test_no_bytes_raise_anything_but_a_fault(answer: bytes, cuts: list[int]) -> None:
    try:
        asyncio.run(exchanged(answer, cuts, closes=True))
    except HttpFault:
        return


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"", Disconnected),
        (b"HTTP/1.1 200 OK\r\nContent-Len", Disconnected),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", Disconnected),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Disconnected),
        (b"220 smtp.example ready\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", NotHttp),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_500_000, TooLarge),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, TooLarge),
    ],
)
async def test_an_incomplete_answer_is_its_own_fault(answer: bytes, fault: type[HttpFault]) -> None:
    with pytest.raises(fault):
        await exchanged(answer, [], closes=True)


async def test_a_small_bomb_is_stopped_at_the_bound() -> None:
    packed = gzip.compress(bytes(50_000_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with pytest.raises(TooLarge):
        await exchanged(head + packed, [])


async def test_an_interim_answer_is_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    status, read, connection = await exchanged(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [])

    assert (status, read, "link" in connection.headers) == (200, b"ok", False)


async def test_a_connection_to_be_closed_is_not_used_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

    assert not (await exchanged(answer, []))[2].reusable


async def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    _, _, connection = await exchanged(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [])
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")

    assert not connection.reusable


async def test_silence_ends_the_exchange() -> None:
    connection, peer = opened(silence_timeout_s=0.02)
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")
    with pytest.raises(Silent):
        await connection.head()

    assert peer.aborted


async def test_a_slow_reader_stops_the_peer_and_goes_on() -> None:
    connection, peer = opened()
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n")
    await connection.head()
    connection.data_received(b"x" * (BUFFERED_BYTES_MAX + 1))
    paused = not peer.reading
    taken = await connection.chunk()
    waiting = asyncio.create_task(connection.chunk())
    await asyncio.sleep(0)
    assert (paused, peer.reading) == (True, True)
    connection.data_received(b"x" * (600_000 - len(taken)))
    rest = await waiting

    assert len(taken) + len(rest) == 600_000
    assert (await connection.chunk(), connection.reusable) == (b"", True)


async def test_a_connection_left_paused_is_read_again_in_the_next_exchange() -> None:
    connection, peer = opened()
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")
    size = BUFFERED_BYTES_MAX + 1
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    await connection.head()
    await connection.body()
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")

    assert peer.reading


async def test_a_large_request_waits_for_room_and_arrives_whole() -> None:
    connection, peer = opened()
    body = bytes(range(256)) * 8000
    connection.pause_writing()
    sending = asyncio.create_task(connection.send(b"HEAD", body))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not sending.done()
    connection.resume_writing()
    await sending

    assert peer.written == b"HEAD" + body


async def test_an_answer_before_the_end_of_the_request_is_read_and_ends_the_connection() -> None:
    connection, peer = opened()
    connection.pause_writing()
    sending = asyncio.create_task(connection.send(b"HEAD", bytes(5_000_000)))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno")
    await sending
    await connection.head()

    assert (connection.status, await connection.body()) == (413, b"no")
    assert len(peer.written) < 5_000_000
    assert not connection.reusable


async def test_a_second_answer_never_replaces_the_first() -> None:
    first = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
    second = b"HTTP/1.1 401 Unauthorized\r\nX-Second: 1\r\nContent-Length: 2\r\n\r\nno"
    status, body, connection = await exchanged(first + second, [])

    assert (status, body, "x-second" in connection.headers, connection.reusable) == (200, b'{"a":1}', False, False)


async def test_trailers_are_passed_over() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Late: 1\r\n\r\n"
    _, body, connection = await exchanged(answer, [])

    assert (body, "x-late" in connection.headers, connection.reusable) == (b"ok", False, True)

import asyncio
import contextlib

import pytest

from clients.http.faults import ConnectFailed
from clients.http.pool import Origin, Pool

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """Answers every request, and knows how many connections it has seen and lost."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                writer.write(ANSWER)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.closed.set()


def new_pool(idle_s: float) -> Pool:
    return Pool(connect_timeout_s=5.0, silence_timeout_s=5.0, answer_bytes_max=1000, idle_s=idle_s)


async def exchange(pool: Pool, origin: Origin) -> None:
    connection = await pool.take(origin)
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")
    await connection.head()
    await connection.body()
    pool.give_back(origin, connection)


async def test_a_connection_is_used_again() -> None:
    peer = Peer()
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        pool = new_pool(60.0)
        origin = Origin("127.0.0.1", server.sockets[0].getsockname()[1], secure=False)
        for _ in range(3):
            await exchange(pool, origin)
        pool.close()
        await peer.closed.wait()

    assert peer.opened == 1


async def test_an_idle_connection_is_closed_by_itself() -> None:
    peer = Peer()
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        pool = new_pool(0.02)
        await exchange(pool, Origin("127.0.0.1", server.sockets[0].getsockname()[1], secure=False))
        await peer.closed.wait()
        pool.close()

    assert peer.opened == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "x" * 300])
async def test_what_cannot_be_reached_was_sent_nothing(host: str) -> None:
    with pytest.raises(ConnectFailed):
        await new_pool(1.0).take(Origin(host, 1, secure=False))

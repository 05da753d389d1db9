"""Connections to a few hosts, kept open between exchanges."""

import asyncio
import ssl
from collections import deque
from typing import NamedTuple

from clients.http.connection import Connection
from clients.http.faults import ConnectFailed


class Origin(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int
    secure: bool


class Pool:
    """Opens, lends and keeps connections. How many are lent at once is the caller's to bound.

    Args:
        connect_timeout_s: For name resolution, TCP and TLS together.
        silence_timeout_s: See `Connection`.
        answer_bytes_max: See `Connection`.
        idle_s: How long an unused connection is kept. Shorter than the peer keeps it: a request written into a
            dying connection has an unknown outcome.
    """

    def __init__(
        self, *, connect_timeout_s: float, silence_timeout_s: float, answer_bytes_max: int, idle_s: float
    ) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._silence_timeout_s = silence_timeout_s
        self._answer_bytes_max = answer_bytes_max
        self._idle_s = idle_s
        self._idle: dict[Origin, deque[Connection]] = {}
        self._reaper: asyncio.TimerHandle | None = None
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def take(self, origin: Origin) -> Connection:
        """Lends a connection; the borrower MUST call `give_back`.

        Raises:
            ConnectFailed: None could be opened.
        """
        idle = self._idle.get(origin)
        oldest_s = asyncio.get_running_loop().time() - self._idle_s
        while idle:
            connection = idle.pop()
            if connection.reusable and connection.idle_since_s > oldest_s:
                return connection
            connection.close()
        return await self._open(origin)

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keeps a connection whose exchange was complete, closes any other."""
        if not connection.reusable:
            connection.close()
            return
        self._idle.setdefault(origin, deque()).append(connection)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(self._idle_s, self._reap)

    def _reap(self) -> None:
        """Closes what was idle too long, whatever the host; comes back while anything is idle."""
        loop = asyncio.get_running_loop()
        oldest_s = loop.time() - self._idle_s
        for origin, idle in list(self._idle.items()):
            while idle and (idle[0].idle_since_s <= oldest_s or not idle[0].reusable):
                idle.popleft().close()  # the least recently used stand in front
            if not idle:
                del self._idle[origin]
        self._reaper = loop.call_later(self._idle_s, self._reap) if self._idle else None

    def close(self) -> None:
        """Closes every idle connection."""
        if self._reaper is not None:
            self._reaper.cancel()
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    async def _open(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._answer_bytes_max, self._silence_timeout_s),
                    origin.host,
                    origin.port,
                    ssl=self._tls if origin.secure else None,
                )
        except (OSError, TimeoutError, UnicodeError) as error:  # ssl.SSLError is an OSError; a host may be no name
            raise ConnectFailed from error
        return connection

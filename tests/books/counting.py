"""What the books ask of a database, counted: transactions, statements, and round trips on PostgreSQL's wire."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from service.storage.database import Database, Row, Script, Transaction, Value, Work

T = TypeVar("T")

_SOCKET = ".s.PGSQL.5432"
_TARGET = re.compile(r"\s*(?:(INSERT) INTO|(UPDATE)|(DELETE|SELECT)\b.*?\bFROM)\s+(\w+)", re.DOTALL)


class CountingDatabase:
    """A `Database` in front of another one.

    Attributes:
        transactions: For each, its statements in their order, such as `UPDATE budget_period`.
        reads: How often it was asked beside its writer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transactions: list[list[str]] = []
        self.reads = 0

    @property
    def engine(self) -> Literal["sqlite", "postgres"]:
        return self._database.engine

    @property
    def warnings(self) -> Sequence[str]:
        return self._database.warnings

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        statements: list[str] = []
        self.transactions.append(statements)

        async def counted(tx: Transaction) -> T:
            return await work(_CountingTransaction(tx, statements))

        return await self._database.transact(counted, lock_timeout_s=lock_timeout_s)

    async def run(self, script: Script[T]) -> T:
        self.transactions.append([_brief(step.sql) for step in script.steps])
        return await self._database.run(script)

    async def read(self, work: Work[T]) -> T:
        self.reads += 1
        return await self._database.read(work)

    async def glance(self, work: Work[T]) -> T:
        self.reads += 1
        return await self._database.glance(work)

    async def now_us(self) -> int:
        self.reads += 1
        return await self._database.now_us()

    async def close(self) -> None:
        await self._database.close()


class _CountingTransaction:
    def __init__(self, tx: Transaction, statements: list[str]) -> None:
        self._tx, self._statements = tx, statements

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        self._statements.append(_brief(sql))
        return await self._tx.fetch(sql, *values)

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        self._statements.append(_brief(sql))
        return await self._tx.fetch_each(sql, rows)

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._statements.append(_brief(sql))
        await self._tx.execute_each(sql, rows)


def _brief(sql: str) -> str:
    """What a statement does, and to which table."""
    found = _TARGET.match(sql)
    assert found is not None, sql
    return " ".join(filter(None, found.groups()))


class RoundTrips:
    """A wire in front of a PostgreSQL server that counts how often the server says that it is ready for more.

    Attributes:
        count: How often, since it was set to 0.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.count = 0
        self._folder, self._server = folder, server
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def counted(self) -> AsyncIterator["RoundTrips"]:
        """Forwards between the socket in its folder and the server's."""
        listening = await asyncio.start_unix_server(self._connected, self._folder / _SOCKET)
        try:
            yield self
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._server / _SOCKET)
        for forwarding in (self._ask(client, to_server), self._answer(server, to_client)):
            self._tasks.add(asyncio.create_task(forwarding))

    async def _ask(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while data := await client.read(1 << 16):
            to_server.write(data)
        to_server.close()

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """A message is a letter, four bytes of length that count themselves, and what it says."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await server.readexactly(5)
                body = await server.readexactly(int.from_bytes(head[1:]) - 4)
                self.count += head[:1] == b"Z"  # ReadyForQuery
                to_client.write(head + body)
        to_client.close()

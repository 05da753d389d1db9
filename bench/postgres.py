"""A PostgreSQL server of the bench's own, with fsync as in production, for as long as it measures."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator, Sequence

import asyncpg

from bench.processes import ServerFailed
from tests.postgres_server import installed_binaries, postgres_server


def is_installed() -> bool:
    """Whether a server can be made on this machine."""
    return installed_binaries() is not None


def version() -> str:
    """Of the server that would be made, as it tells it."""
    binaries = installed_binaries()
    if binaries is None:
        return "missing"
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


@contextlib.contextmanager
def postgres_databases(*names: str) -> Iterator[list[str]]:
    """Runs a server inside the context; gives the URLs of empty databases.

    Raises:
        ServerFailed: It did not start.
    """
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server(durable=True))
        except (AssertionError, OSError, subprocess.SubprocessError) as failed:
            raise ServerFailed(f"PostgreSQL did not start: {failed}") from None
        asyncio.run(_create(server.url("postgres"), names))
        yield [server.url(name) for name in names]


async def _create(url: str, names: Sequence[str]) -> None:
    connection = await asyncpg.connect(url)
    for name in names:
        await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()

"""Where a secret of a service could come out: output, database, metrics, and objects as Python shows them."""

import gc
import urllib.request
from collections.abc import Iterable

import pytest

from service.books.books import Books
from service.storage.database import Transaction
from tests.identity.rpcs import Ended
from tests.identity.scene import Scene

OURS = ("clients.", "service.", "cohort.client.")
SANDBOX = "clients.sandbox"
"""Plays Cohere, which gets prompts and keys for real, and shows what it got on purpose."""

_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
}


async def dumped(books: Books, engine: str) -> bytes:
    """Every row of every table, as text, and what is binary in it as it is."""

    async def work(tx: Transaction) -> bytes:
        parts: list[bytes] = []
        for (table,) in await tx.fetch(_TABLES[engine]):
            for row in await tx.fetch(f'SELECT * FROM "{table}"'):
                parts.append(f"{table} {row!r}\n".encode())
                parts += [value for value in row if isinstance(value, bytes)]
        return b"".join(parts)

    return await books.read(work)


def files(made: Scene) -> bytes:
    """The database's files as they lie on the disk, and the checkpoints of the audit trail."""
    kept = sorted([*made.folder.glob("cohort.db*"), *made.folder.glob("*checkpoint*")])
    return b"".join(file.read_bytes() for file in kept)


def metrics(made: Scene) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{made.service.metrics_port}/metrics") as answer:
        content: bytes = answer.read()
        return content


def shown_objects() -> bytes:
    """What `repr` and `str` make of each object of ours that is alive."""
    shown = []
    for each in gc.get_objects():
        module = str(type(each).__module__)
        if module.startswith(OURS) and not module.startswith(SANDBOX) and not isinstance(each, type):
            shown.append(f"{each!r}\n{each}\n")
    return "".join(shown).encode()


def statuses(ended: Iterable[Ended]) -> bytes:
    """What callers were told that were refused, with all trailers."""
    return b"\n".join(each.details for each in ended)


def all_of(made: Scene, ended: Iterable[Ended], dump: bytes) -> dict[str, bytes]:
    """What there is while a service runs, with what `dumped` gave."""
    return {
        "database": dump,
        "files in use": files(made),
        "metrics": metrics(made),
        "objects": shown_objects(),
        "statuses": statuses(ended),
    }


def output(capfd: pytest.CaptureFixture[str]) -> dict[str, bytes]:
    out, err = capfd.readouterr()
    return {"stdout": out.encode(), "stderr": err.encode()}

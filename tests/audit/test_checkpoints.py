"""Checkpoints: one replica makes each, every outside file gets all of them, and a full disk stops nothing."""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.books.checkpoint import BEFORE_FIRST, Checkpoint, Malformed, hash_of, line_parsed, parsed, signed
from service.books.checkpoint_file import CheckpointFile
from service.books.checkpointer import Checkpointer, CheckpointsRewritten
from service.books.signing import SigningKey
from service.storage.database import Database
from tests.audit.made import Process
from tests.databases import Clock

KEY = SigningKey(Ed25519PrivateKey.generate())
MINUTE_US = 60_000_000


class Replica:
    """A checkpointer with a file of its own."""

    def __init__(self, database: Database, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.jsonl"
        self.failures: list[tuple[str, Exception]] = []
        self.checkpointer = Checkpointer(
            database, KEY, CheckpointFile(self.path), lambda place, error: self.failures.append((place, error))
        )

    @property
    def numbers(self) -> list[int]:
        """Of the checkpoints in its file."""
        return [line_parsed(line).number for line in self.path.read_bytes().splitlines(keepends=True)]

    async def round(self, *, due: bool = False) -> float:
        return await self.checkpointer.round(due=due)


async def table(database: Database) -> list[Checkpoint]:
    rows = await database.read(lambda tx: tx.fetch("SELECT body FROM checkpoint ORDER BY number"))
    return [parsed(body.encode()) for (body,) in rows]


async def test_a_checkpoint_names_every_head_and_the_checkpoint_before(database: Database, tmp_path: Path) -> None:
    numbers = itertools.count(1)
    replica = Replica(database, tmp_path, "one")
    for team in ("search", "support"):
        await (await Process.start(database, numbers)).call(team)
        await replica.round(due=True)
    first, second = await table(database)
    heads = await database.read(lambda tx: tx.fetch("SELECT writer_id, head_seq, head_hash FROM audit_writer"))

    assert (first.number, first.previous) == (1, BEFORE_FIRST)
    assert (second.number, second.previous) == (2, hash_of(first.body()))
    assert sorted(second.heads) == sorted(heads)
    assert list(second.records) == [2, 2, 0, 4]  # of each: it began, and found new prices
    assert [(each.budget_id, each.committed_nanos) for each in second.committed] == [
        ("search", 1_200_345),
        ("support", 1_200_345),
    ]
    assert replica.failures == []


async def test_the_signature_is_over_the_hash_of_the_exact_body(database: Database, tmp_path: Path) -> None:
    await Replica(database, tmp_path, "one").round(due=True)
    ((body, digest, signature),) = await database.read(
        lambda tx: tx.fetch("SELECT body, hash, signature FROM checkpoint")
    )

    assert digest == hash_of(body.encode())
    assert KEY.public.has_signed(digest, signature)
    assert not KEY.public.has_signed(hash_of(body.encode() + b" "), signature)


async def test_a_checkpoint_is_due_a_minute_after_the_last_whoever_made_it(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    one, other = Replica(database, tmp_path, "one"), Replica(database, tmp_path, "other")

    assert await one.round() == 60
    assert 50 < await other.round() <= 60
    await clock.shift(MINUTE_US)
    assert await other.round() == 60
    assert 50 < await one.round() <= 60
    assert [each.number for each in await table(database)] == [1, 2]


async def test_a_clock_set_back_does_not_stop_the_checkpoints(database: Database, tmp_path: Path, clock: Clock) -> None:
    replica = Replica(database, tmp_path, "one")
    await replica.round()
    await clock.shift(-3600_000_000)

    assert await replica.round() == 60
    assert len(await table(database)) == 2


async def test_of_replicas_at_the_same_time_one_wins_and_every_file_has_all(
    database: Database, tmp_path: Path, clock: Clock, open_another: Callable[[], Awaitable[Database]]
) -> None:
    """On SQLite the writer is one process; its checkpointers race all the same."""
    databases = [database, database if database.engine == "sqlite" else await open_another()]
    replicas = [Replica(databases[n % 2], tmp_path, f"replica{n}") for n in range(4)]
    for _ in range(5):
        await asyncio.gather(*(replica.round() for replica in replicas))
        await clock.shift(MINUTE_US)
    await asyncio.gather(*(replica.round() for replica in replicas))
    for replica in replicas:
        await replica.round()

    assert [each.number for each in await table(database)] == [1, 2, 3, 4, 5, 6]
    assert [replica.numbers for replica in replicas] == [[1, 2, 3, 4, 5, 6]] * 4
    assert [replica.failures for replica in replicas] == [[]] * 4


async def test_a_file_that_cannot_be_written_is_told_and_made_up_for(sqlite_database: Database, tmp_path: Path) -> None:
    replica = Replica(sqlite_database, tmp_path / "mount", "one")
    assert await replica.round(due=True) < 60  # tried again soon
    await replica.round(due=True)
    (tmp_path / "mount").mkdir()
    await replica.round(due=True)

    assert [(place, type(error)) for place, error in replica.failures] == [("file", FileNotFoundError)] * 2
    assert replica.numbers == [1, 2, 3]


async def test_a_table_that_cannot_be_written_is_told(sqlite_database: Database, tmp_path: Path) -> None:
    replica = Replica(sqlite_database, tmp_path, "one")
    await sqlite_database.close()

    assert await replica.round() < 60
    assert {place for place, _ in replica.failures} == {"table", "file"}


async def test_a_process_that_starts_anew_goes_on_with_its_file(sqlite_database: Database, tmp_path: Path) -> None:
    await Replica(sqlite_database, tmp_path, "one").round(due=True)
    await Replica(sqlite_database, tmp_path, "other").round(due=True)
    replica = Replica(sqlite_database, tmp_path, "one")
    await replica.round(due=True)

    assert replica.numbers == [1, 2, 3]


async def test_a_line_cut_off_by_a_crash_is_written_again(sqlite_database: Database, tmp_path: Path) -> None:
    replica = Replica(sqlite_database, tmp_path, "one")
    await replica.round(due=True)
    await replica.round(due=True)
    whole = replica.path.read_bytes()
    replica.path.write_bytes(whole[:-20])
    await Replica(sqlite_database, tmp_path, "one").round(due=True)
    first, cut_off, *rest = replica.path.read_bytes().splitlines(keepends=True)

    assert first + rest[0] == whole
    assert rest[0].startswith(cut_off.rstrip(b"\n"))
    assert [line_parsed(line).number for line in rest] == [2, 3]


async def test_a_table_that_forgot_a_checkpoint_is_told_and_the_file_keeps_both(
    sqlite_database: Database, tmp_path: Path
) -> None:
    replica = Replica(sqlite_database, tmp_path, "one")
    for _ in range(3):
        await replica.round(due=True)
    await sqlite_database.transact(lambda tx: tx.fetch("DELETE FROM checkpoint WHERE number >= 2"))
    await replica.round(due=True)
    await replica.round(due=True)

    assert [(place, type(error)) for place, error in replica.failures] == [("table", CheckpointsRewritten)]
    assert replica.numbers == [1, 2, 3, 2, 3]


async def test_a_checkpoint_edited_in_the_table_is_told(sqlite_database: Database, tmp_path: Path) -> None:
    replica = Replica(sqlite_database, tmp_path, "one")
    await replica.round(due=True)
    await sqlite_database.transact(lambda tx: tx.fetch("UPDATE checkpoint SET body = '{}'"))
    late = Replica(sqlite_database, tmp_path, "late")
    await late.round()

    assert [(place, type(error)) for place, error in late.failures] == [("table", CheckpointsRewritten)]


async def test_the_file_is_its_owners_alone_and_only_ever_appended_to(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[int] = []
    really = os.open

    def watched(path: str, how: int, mode: int = 0o777) -> int:
        if str(path).endswith(".jsonl") and how & (os.O_WRONLY | os.O_RDWR):
            flags.append(how)
        return really(path, how, mode)

    monkeypatch.setattr(os, "open", watched)
    replica = Replica(sqlite_database, tmp_path, "one")
    await replica.round(due=True)

    assert replica.path.stat().st_mode & 0o777 == 0o600
    assert [how & (os.O_APPEND | os.O_TRUNC) for how in flags] == [os.O_APPEND]


async def test_checkpoints_are_made_until_the_run_is_cancelled(sqlite_database: Database, tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "checkpoints.jsonl")
    checkpointer = Checkpointer(sqlite_database, KEY, file, lambda *_: None, interval_s=0.01)
    run = asyncio.create_task(checkpointer.run())
    while len(await table(sqlite_database)) < 3:
        await asyncio.sleep(0.005)
    run.cancel()
    await asyncio.wait({run})

    assert run.cancelled()


def checkpoint() -> Checkpoint:
    return Checkpoint(1, 2, BEFORE_FIRST, KEY.public.key_id, (), (0, 0, 0, 0), ())


def test_a_line_says_again_what_was_signed() -> None:
    made = signed(checkpoint(), KEY)

    assert line_parsed(made.line()) == made
    assert parsed(made.body).body() == made.body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b'{"number":1}',
        checkpoint().body().replace(b'"number":1', b'"number":"1"'),
        checkpoint().body().replace(b'"number":1', b'"number":true'),
        checkpoint().body().replace(b'"heads":[]', b'"heads":[["w"]]'),
        checkpoint().body().replace(b'"heads":[]', b'"heads":[["w",0,"xx"]]'),
        checkpoint().body().replace(b'"heads":[]', b'"heads":5'),
        checkpoint().body() + b" ",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(body)

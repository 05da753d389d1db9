"""Books inside a transaction that is rolled back: to tamper with, to verify as they are then, and to export."""

import contextlib
import dataclasses
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.books.chain import ROOT, link
from service.books.checkpoint import Checkpoint, Signed, parsed, signed
from service.books.export import Exporter
from service.books.sections import ALL, Window
from service.books.signing import SigningKey
from service.books.verification.findings import Finding, Report
from service.books.verification.offline import verify_export
from service.books.verification.online import verify_database
from service.books.walk import Walk
from service.storage.database import Transaction, Value
from tests.audit.made import Made

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A record where it stands."""

    writer_id: str
    seq: int
    kind: str
    call_id: str
    team: str
    at_us: int
    body: str
    hash: bytes

    @property
    def where(self) -> str:
        return f"writer {self.writer_id}/{self.seq}"

    def hash_after(self, before: bytes) -> bytes:
        """What its hash ought to be."""
        body = self.body.encode()
        return link(before, self.writer_id, self.seq, self.kind, self.call_id, self.team, self.at_us, body)


@dataclass
class Scene:
    """What a tamperer has at hand: the database as its administrator, and the outside file if it is in reach."""

    tx: Transaction
    key: SigningKey
    lines: list[bytes]
    """Of the outside file."""
    writers: list[list[Row]] = field(default_factory=list)
    """The records of each writer, the writers in the order in which they began."""

    async def look(self) -> None:
        """Reads the records as they are before anything is done to them."""
        rows = [Row(*row) for row in await self.sql(_RECORDS)]
        order = list(dict.fromkeys(row.writer_id for row in sorted(rows, key=lambda row: (row.at_us, row.seq))))
        self.writers = [[row for row in rows if row.writer_id == writer_id] for writer_id in order]

    async def sql(self, text: str, *values: Value) -> list[tuple[Any, ...]]:
        return await self.tx.fetch(text, *values)

    def record(self, writer: int, kind: str, number: int = 0) -> Row:
        """A record of a writer: the first, or a later one, of a kind."""
        return [row for row in self.writers[writer] if row.kind == kind][number]

    async def edit(self, row: Row, **values: Value) -> None:
        for column, value in values.items():
            where = "WHERE writer_id = $2 AND seq = $3"
            await self.sql(f"UPDATE audit SET {column} = $1 {where}", value, row.writer_id, row.seq)

    async def insert(self, row: Row) -> None:
        values = "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        await self.sql(f"INSERT INTO audit ({_COLUMNS}) {values}", *dataclasses.astuple(row))

    async def rewrite(self, writer_id: str) -> None:
        """Computes all hashes of a writer anew, and its row, as someone who knows how would."""
        before, seq = ROOT, -1
        for row in await self.sql(f"{_RECORDS_OF} ORDER BY seq, at_us", writer_id):
            record = Row(*row)
            before, seq = record.hash_after(before), record.seq
            await self.edit(record, hash=before)
        await self._end(writer_id, seq, before)

    async def _end(self, writer_id: str, seq: int, digest: bytes) -> None:
        """Makes a writer's row right."""
        head = "head_seq = $1, head_hash = $2"
        await self.sql(f"UPDATE audit_writer SET {head} WHERE writer_id = $3", seq, digest, writer_id)
        for kind in ("intent", "outcome", "answer", "notice"):
            count = "(SELECT COUNT(*) FROM audit WHERE writer_id = $1 AND kind = $2)"
            await self.sql(f"UPDATE audit_writer SET {kind}s = {count} WHERE writer_id = $1", writer_id, kind)

    async def cut(self, row: Row) -> None:
        """Removes a record and all after it, and makes the writer's row fit."""
        await self.sql("DELETE FROM audit WHERE writer_id = $1 AND seq >= $2", row.writer_id, row.seq)
        await self._end(row.writer_id, row.seq - 1, self.hash_before(row))

    async def close_gap(self, row: Row) -> None:
        """Removes a record, moves those after it up, and computes their hashes anew."""
        await self.sql("DELETE FROM audit WHERE writer_id = $1 AND seq = $2", row.writer_id, row.seq)
        last = self.writer_of(row)[-1].seq
        for seq in range(row.seq + 1, last + 1):
            await self.sql("UPDATE audit SET seq = seq - 1 WHERE writer_id = $1 AND seq = $2", row.writer_id, seq)
        await self.rewrite(row.writer_id)

    async def remove_writer(self, writer: int) -> str:
        writer_id = self.writers[writer][0].writer_id
        await self.sql("DELETE FROM audit WHERE writer_id = $1", writer_id)
        await self.sql("DELETE FROM audit_writer WHERE writer_id = $1", writer_id)
        return writer_id

    async def checkpoint(self, number: int) -> Checkpoint:
        rows = await self.sql("SELECT body FROM checkpoint WHERE number = $1", number)
        return parsed(rows[0][0].encode())

    async def put(self, checkpoint: Checkpoint, key: SigningKey) -> Signed:
        """Puts another checkpoint in the place of one."""
        made = signed(checkpoint, key)
        await self.sql(
            "UPDATE checkpoint SET at_us = $1, body = $2, hash = $3, signature = $4 WHERE number = $5",
            checkpoint.at_us, made.body.decode(), made.hash, made.signature, made.number,
        )  # fmt: skip
        return made

    def writer_of(self, row: Row) -> list[Row]:
        return next(rows for rows in self.writers if rows[0].writer_id == row.writer_id)

    def hash_before(self, row: Row) -> bytes:
        return self.writer_of(row)[row.seq - 1].hash if row.seq else ROOT

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Stands for a database whose snapshot is this transaction."""
        return await work(self.tx)

    async def verified(self, *, files: bool = True, keys: bool = True) -> tuple[Report, list[Finding]]:
        """What a verification of the tables says."""
        findings: list[Finding] = []
        kept = {"outside": self.lines} if files else {}
        report = await verify_database(self, kept, [self.key.public] if keys else [], findings.append)
        return report, findings

    async def exported(self, window: Window = ALL, *, is_signed: bool = True) -> list[bytes]:
        """The lines of an export."""
        out = io.BytesIO()
        exporter = Exporter(out.write, window, self.key if is_signed else None)
        await Walk(exporter.begin, exporter.take, unreadable=_fail, window=window).over(self)
        exporter.finish()
        return out.getvalue().splitlines(keepends=True)

    def verified_export(self, lines: list[bytes], *, files: bool = True) -> tuple[Report, list[Finding]]:
        """What a verification of an export says."""
        findings: list[Finding] = []
        kept = {"outside": self.lines} if files else {}
        report = verify_export(lines, kept, [self.key.public], findings.append)
        return report, findings


def _fail(where: str) -> None:
    raise AssertionError(f"cannot be exported: {where}")


class _Undone(Exception):
    """Rolls back."""


async def in_a_scene(made: Made, act: Callable[[Scene], Awaitable[T]]) -> T:
    """Lets *act* do to the books what it wants, and undoes it; what it returned."""
    results: list[T] = []
    lines = made.file.read_bytes().splitlines(keepends=True)

    async def work(tx: Transaction) -> None:
        scene = Scene(tx, made.key, list(lines))
        await scene.look()
        results.append(await act(scene))
        raise _Undone

    with contextlib.suppress(_Undone):
        await made.database.transact(work)
    return results[0]


_COLUMNS = "writer_id, seq, kind, call_id, team, at_us, body, hash"
_RECORDS = f"SELECT {_COLUMNS} FROM audit ORDER BY writer_id, seq"
_RECORDS_OF = f"SELECT {_COLUMNS} FROM audit WHERE writer_id = $1"

"""Makes a checkpoint every minute, on whichever replica is first, and keeps an outside copy of all of them.

Nothing is served later or refused because of it: what fails is reported and made up for.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from service.books.checkpoint import BEFORE_FIRST, Checkpoint, Committed, Head, Signed, hash_of, signed
from service.books.checkpoint_file import CheckpointFile
from service.books.signing import SigningKey
from service.storage.database import Database, Transaction
from service.storage.errors import StorageError

INTERVAL_S = 60.0
COMMIT_LAG_US = 600_000_000
"""A record is durable at the latest so long after the time that it bears; a head is listed for so long."""
_RETRY_S = 20.0
_PAGE_ROWS = 1000

_LAST = "SELECT number, at_us, hash, clock_us() FROM checkpoint ORDER BY number DESC LIMIT 1"
_CLOCK = "SELECT clock_us()"
# One look into the trail for each writer, whatever the planner thinks of how much was recorded lately; a head whose
# record is gone is listed, too.
_HEADS = """
SELECT writer_id, head_seq, head_hash FROM audit_writer AS w
WHERE COALESCE((SELECT MAX(at_us) FROM audit AS a WHERE a.writer_id = w.writer_id AND a.seq = w.head_seq), $1) >= $1
ORDER BY writer_id"""
_COUNTS = """
SELECT CAST(COALESCE(SUM(intents), 0) AS BIGINT), CAST(COALESCE(SUM(outcomes), 0) AS BIGINT),
  CAST(COALESCE(SUM(answers), 0) AS BIGINT), CAST(COALESCE(SUM(notices), 0) AS BIGINT) FROM audit_writer"""
# No day is as long as two: so the key finds the one in force without looking through all of a budget's days.
_COMMITTED = """
SELECT p.budget_id, p.period_start_us, p.period_end_us, p.committed_nanos
FROM budget AS b JOIN budget_period AS p
  ON p.budget_id = b.budget_id AND p.period_start_us <= $1 AND p.period_start_us > $1 - 172800000000
WHERE $1 < p.period_end_us ORDER BY p.budget_id"""
_INSERT = """
INSERT INTO checkpoint (number, at_us, body, hash, signature) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (number) DO NOTHING RETURNING number"""
_AFTER = "SELECT number, body, hash, signature FROM checkpoint WHERE number > $1 ORDER BY number LIMIT $2"
_HASH = "SELECT hash FROM checkpoint WHERE number = $1"

Place: TypeAlias = Literal["table", "file"]


class CheckpointsRewritten(Exception):
    """The table no longer holds a checkpoint that the file holds."""


class _Last(NamedTuple):
    number: int
    at_us: int
    hash: bytes
    now_us: int


class Checkpointer:
    """Makes checkpoints for as long as `run` runs.

    Args:
        database: Where the trail and the table of checkpoints are.
        key: Signs.
        file: The outside copy.
        failed: Told what went wrong, and where; called from the loop, and MUST NOT raise.
        interval_s: Seconds from one checkpoint to the next.
    """

    def __init__(
        self,
        database: Database,
        key: SigningKey,
        file: CheckpointFile,
        failed: Callable[[Place, Exception], object],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._database = database
        self._key = key
        self._file = file
        self._failed = failed
        self._interval_us = int(interval_s * 1_000_000)
        self._round = asyncio.Lock()
        self._made: Signed | None = None
        self._copied: Signed | None = None

    async def run(self) -> None:
        """Makes a checkpoint whenever one is due, until cancelled."""
        wait_s = 0.0
        while True:
            await asyncio.sleep(wait_s)
            wait_s = await self.round()

    async def round(self, *, due: bool = False) -> float:
        """Makes a checkpoint if one is due and copies to the file what it lacks.

        Args:
            due: Make one in any case, as before a stop.

        Returns:
            How many seconds to wait before the next round.
        """
        async with self._round:
            wait_s = _RETRY_S
            try:
                wait_s = await self._make(due=due)
            except StorageError as error:
                self._failed("table", error)
            try:
                await self._copy()
            except (StorageError, OSError) as error:
                self._copied = None  # how far the file is, the file says
                self._failed("file", error)
                return _RETRY_S
            return wait_s

    async def _make(self, *, due: bool) -> float:
        async def draft(tx: Transaction) -> Checkpoint | int:
            last = await _last(tx)
            left_us = last.at_us + self._interval_us - last.now_us
            # More than a whole interval is left after the database's clock has been set back.
            if 0 < left_us <= self._interval_us and not due:
                return left_us
            return await _draft(tx, last, self._key.public.key_id)

        drafted = await self._database.read(draft)
        if isinstance(drafted, int):
            return drafted / 1_000_000
        made = signed(drafted, self._key)
        row = (made.number, drafted.at_us, made.body.decode(), made.hash, made.signature)
        # Else another replica was first, and has taken the number.
        if await self._database.transact(lambda tx: tx.fetch(_INSERT, *row)):
            self._made = made
        return self._interval_us / 1_000_000

    async def _copy(self) -> None:
        """Brings the file to where the table is, so that it holds all checkpoints, whoever made them."""
        if self._copied is None:
            self._copied = await asyncio.to_thread(self._file.last)
        last = self._copied
        if last is not None and await self._database.read(lambda tx: _hash(tx, last.number)) != last.hash:
            self._failed("table", CheckpointsRewritten(f"checkpoint {last.number} of {self._file.path}"))
            if self._made is None or self._made == last:
                return
            # The file goes on with what this process made itself; that it forked is there to be seen.
            await self._append([self._made])
        while page := await self._page():
            await self._append(page)

    async def _page(self) -> list[Signed]:
        after = 0 if self._copied is None else self._copied.number

        async def page(tx: Transaction) -> list[Signed]:
            rows = await tx.fetch(_AFTER, after, _PAGE_ROWS)
            return [Signed(number, body.encode(), digest, signature) for number, body, digest, signature in rows]

        return await self._database.read(page)

    async def _append(self, checkpoints: list[Signed]) -> None:
        for checkpoint in checkpoints:
            if checkpoint.hash != hash_of(checkpoint.body):
                self._failed("table", CheckpointsRewritten(f"checkpoint {checkpoint.number} is not what its hash says"))
        appending = asyncio.ensure_future(asyncio.to_thread(self._file.append, checkpoints))
        try:
            await asyncio.shield(appending)
        finally:
            # A thread cannot be cancelled, and the next round must not write beside it.
            await asyncio.wait({appending})
        self._copied = checkpoints[-1]


async def _last(tx: Transaction) -> _Last:
    rows = await tx.fetch(_LAST)
    if rows:
        return _Last(*rows[0])
    return _Last(0, 0, BEFORE_FIRST, int((await tx.fetch(_CLOCK))[0][0]))


async def _draft(tx: Transaction, last: _Last, key_id: str) -> Checkpoint:
    return Checkpoint(
        number=last.number + 1,
        at_us=last.now_us,
        previous=last.hash,
        key_id=key_id,
        heads=[Head(*row) for row in await tx.fetch(_HEADS, min(last.at_us, last.now_us) - COMMIT_LAG_US)],
        records=(await tx.fetch(_COUNTS))[0],
        committed=[Committed(*row) for row in await tx.fetch(_COMMITTED, last.now_us)],
    )


async def _hash(tx: Transaction, number: int) -> bytes | None:
    rows = await tx.fetch(_HASH, number)
    return rows[0][0] if rows else None

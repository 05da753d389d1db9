"""Checks the checkpoints: each is signed and names the one before it, and the table holds what the files hold."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, NamedTuple, Self

from service.books.checkpoint import (
    BEFORE_FIRST,
    Checkpoint,
    Malformed,
    Signed,
    hash_of,
    line_parsed,
    parsed,
)
from service.books.signing import VerifyingKey
from service.books.spool import Spool, Tally
from service.books.verification.findings import Report
from service.books.verification.times import COMMIT_LAG_US, utc

_TABLE, _FILE, _NAMED = range(3)


class _Before(NamedTuple):
    """The checkpoint before, in the table or in one file."""

    number: int
    hash: bytes


class CheckpointCheck:
    """Takes the checkpoints of the table and of the files, then what the trail says of them.

    Args:
        report: Told what does not hold.
        keys: Who may have signed, by key id; none if signatures cannot be checked.
        is_whole: All of the table is there; without, only what lies between its first and its last checkpoint is.
    """

    def __init__(self, report: Report, keys: Mapping[str, VerifyingKey], *, is_whole: bool) -> None:
        self._report = report
        self._keys = keys
        self._is_whole = is_whole
        self._first = 1 if is_whole else 0
        self._before = _Before(0, BEFORE_FIRST)
        self._files: dict[str, int] = {}
        self._known = Spool()
        self._counts = Tally()
        self.heads = Spool()
        """(writer id, seq, hash, checkpoint's number) of every head of a checkpoint that can be believed."""
        self.first_at_us: int | None = None
        self._newest: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._known, self._counts, self.heads):
            each.__exit__(kind, error, at)

    @property
    def newest_at_us(self) -> int | None:
        """When the checkpoint with the highest number was made, of those that can be believed."""
        return None if self._newest is None else self._newest[1]

    def take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Takes rows of the table, by number."""
        for number, at_us, body, digest, signature in rows:
            where = f"checkpoint {number}"
            self._report.counted["checkpoints"] += 1
            checkpoint = self._believed(Signed(number, body.encode(), digest, signature), where)
            if checkpoint is not None and checkpoint.at_us != at_us:
                self._report.broken("checkpoint_changed", where, "its time is not the one in its body")
            if not self._first:  # of a part, which may begin with any
                self._first = number
            elif number <= self._before.number:
                self._report.broken("checkpoint_repeated", where, f"stands after checkpoint {self._before.number}")
                continue
            elif number > self._before.number + 1:
                self._missing(self._before.number + 1, number - 1, "the table lacks it")
            elif checkpoint is not None:
                self._follows(checkpoint, self._before, where)
            self._before = _Before(number, digest)
            self._known.add((number, _TABLE, digest, where))
            if checkpoint is not None:
                self._counts.add((number,), (0, 0, 0, 0, *checkpoint.records, 1))

    def take_file(self, name: str, lines: Iterable[bytes]) -> None:
        """Takes the lines of an outside file."""
        before = _Before(0, BEFORE_FIRST)
        cut_off = line = b""
        where = name
        self._files.setdefault(name, 0)
        for line_number, line in enumerate(lines, start=1):
            where = f"{name}:{line_number}"
            if cut_off and not line.startswith(cut_off):
                self._report.broken("checkpoint_changed", f"{name}:{line_number - 1}", "not a checkpoint")
            cut_off = b""
            try:
                kept = line_parsed(line)
            except Malformed:
                # A crash during the append leaves the beginning of the line that comes next, or of none.
                cut_off = line.rstrip(b"\n")
                continue
            before = self._take_kept(kept, before, where, name)
        if cut_off and line.endswith(b"\n"):
            self._report.broken("checkpoint_changed", where, "not a checkpoint")

    def named(self, number: int, digest: bytes, where: str) -> None:
        """A record names a checkpoint that was made before it."""
        self._known.add((number, _NAMED, digest, where))

    def counted(self, number: int, records: tuple[int, ...]) -> None:
        """The trail holds so many records of each kind up to the heads that checkpoint *number* names, and no earlier
        one does.
        """
        self._counts.add((number,), (*records, 0, 0, 0, 0, 0))

    def finish(self) -> None:
        """Compares the table, the files and what records name."""
        for number, found in groupby(self._known.sorted(), key=itemgetter(0)):
            if self._is_whole or self._first <= number <= self._before.number:
                self._compare(number, [(source, digest, where) for _, source, digest, where in found])
        if self._is_whole:
            self._compare_counts()
        if not self._keys:
            self._report.incomplete("signatures of checkpoints: no public key was given")
        if not self._files:
            self._report.incomplete("what was cut off together with its checkpoints: no outside file was given")
        for name, at_us in self._files.items():
            if self.newest_at_us is not None and at_us < self.newest_at_us - COMMIT_LAG_US:
                last = f"its last checkpoint is of {utc(at_us)}" if at_us else "it holds no checkpoint"
                self._report.incomplete(f"what was cut off later than {name} knows: {last}")

    def _take_kept(self, kept: Signed, before: _Before, where: str, name: str) -> _Before:
        self._report.counted["checkpoints in files"] += 1
        checkpoint = self._believed(kept, where)
        if checkpoint is None:
            return _Before(kept.number, kept.hash)
        if kept.number == before.number + 1:
            self._follows(checkpoint, before, where)
        elif kept.number <= before.number and kept.hash != before.hash:
            self._report.broken("checkpoint_chain", where, f"checkpoint {kept.number} stands after {before.number}")
        self._known.add((kept.number, _FILE, kept.hash, where))
        self._files[name] = max(self._files[name], checkpoint.at_us)
        return _Before(kept.number, kept.hash)

    def _believed(self, kept: Signed, where: str) -> Checkpoint | None:
        """What a checkpoint says, unless it is not what was signed."""
        if hash_of(kept.body) != kept.hash:
            self._report.broken("checkpoint_changed", where, "its body is not what its hash says")
            return None
        try:
            checkpoint = parsed(kept.body)
        except Malformed as error:
            self._report.broken("checkpoint_changed", where, str(error))
            return None
        if checkpoint.number != kept.number:
            self._report.broken("checkpoint_changed", where, f"its body is that of checkpoint {checkpoint.number}")
            return None
        if self._keys and not self._is_signed(kept, checkpoint, where):
            return None
        for head in checkpoint.heads:
            self.heads.add((head.writer_id, head.seq, head.hash, checkpoint.number))
        self.first_at_us = min(self.first_at_us or checkpoint.at_us, checkpoint.at_us)
        self._newest = max(self._newest or (0, 0), (checkpoint.number, checkpoint.at_us))
        return checkpoint

    def _is_signed(self, kept: Signed, checkpoint: Checkpoint, where: str) -> bool:
        key = self._keys.get(checkpoint.key_id)
        if key is None:
            self._report.broken(
                "checkpoint_forged", where, f"it names the key {checkpoint.key_id}, which was not given"
            )
        elif not key.has_signed(kept.hash, kept.signature):
            self._report.broken("checkpoint_forged", where, "its signature is not by the key that it names")
        else:
            return True
        return False

    def _follows(self, checkpoint: Checkpoint, before: _Before, where: str) -> None:
        if checkpoint.previous != before.hash:
            self._report.broken("checkpoint_chain", where, f"it does not follow checkpoint {before.number}")

    def _compare(self, number: int, found: list[tuple[int, bytes, str]]) -> None:
        source, digest, first = found[0]
        if source == _NAMED:
            self._missing(number, number, f"{first} names it")
        elif source == _FILE:
            self._missing(number, number, f"{first} holds it")
        for _, other, where in found[1:]:
            if other != digest:
                self._report.broken("checkpoint_differs", where, f"checkpoint {number} is another one than in {first}")

    def _compare_counts(self) -> None:
        """A difference shows in every later checkpoint, too: only where it changes is told."""
        there: tuple[int, ...] = (0, 0, 0, 0)
        difference_before: tuple[int, ...] = (0, 0, 0, 0)
        for (number,), sums in self._counts.sums():
            there = tuple(map(sum, zip(there, sums[:4], strict=True)))
            if not sums[8]:
                continue
            difference = tuple(said - found for said, found in zip(sums[4:8], there, strict=True))
            if difference != difference_before:
                names = "intents, outcomes, answers and notices"
                what = f"it counts {sums[4:8]} {names}, the trail {there}"
                self._report.broken("checkpoint_counts", f"checkpoint {number}", what)
            difference_before = difference

    def _missing(self, first: int, last: int, why: str) -> None:
        where = f"checkpoint {first}" if first == last else f"checkpoints {first} to {last}"
        self._report.broken("checkpoint_missing", where, f"removed: {why}")

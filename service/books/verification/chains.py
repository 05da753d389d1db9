"""Walks every writer's chain: no record is missing, changed, moved or repeated, and none that a checkpoint names."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from service.books.chain import ROOT, link
from service.books.verification.checkpoints import CheckpointCheck
from service.books.verification.findings import Report
from service.books.verification.times import COMMIT_LAG_US, utc

KINDS = ("intent", "outcome", "answer", "notice")
_NO_HEAD = sys.maxsize


class Writer(NamedTuple):
    """A row of audit_writer: where a chain ends, by the books themselves."""

    started_at_us: int
    head_seq: int
    head_hash: bytes
    counts: tuple[int, ...]
    """Intents, outcomes, answers, notices."""


@dataclass(slots=True)
class _Chain:
    """The chain of one writer, as far as it was walked."""

    writer_id: str
    seq: int = 0
    """Of the next record."""
    bases: tuple[bytes, ...] = (ROOT,)
    """What the next record may follow: the hash of the record before, or what it ought to be; none if that is not
    there."""
    last_hash: bytes = ROOT
    at_us: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    sealed_counts: tuple[int, ...] = (0, 0, 0, 0)
    """Up to the last head that a checkpoint names."""
    sealed_seq: int = -1
    unsealed: tuple[int, int] | None = None
    """seq and time of the first record that no checkpoint vouches for."""

    def where(self, seq: int) -> str:
        return f"writer {self.writer_id}/{seq}"

    def count(self) -> tuple[int, ...]:
        return tuple(self.counts[kind] for kind in KINDS)


class ChainCheck:
    """Takes the records of each writer by seq, the writers by their ids.

    Args:
        report: Told what does not hold.
        checkpoints: Has taken all checkpoints; told what the trail holds of them.
        writers: The rows of audit_writer.
        at_us: When the books were read.
    """

    def __init__(self, report: Report, checkpoints: CheckpointCheck, writers: dict[str, Writer], at_us: int) -> None:
        self._report = report
        self._checkpoints = checkpoints
        self._writers = writers
        self._at_us = at_us
        self._heads: Iterator[tuple[str, int, bytes, int]] = checkpoints.heads.sorted()
        self._head = next(self._heads, None)
        self._chain: _Chain | None = None
        self._head_seq = _NO_HEAD
        self._unsealed_at_us: int | None = None
        self.newest_at_us = 0
        """Of the newest record."""

    def take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Takes the next records, as rows of the table audit."""
        chain, head_seq = self._chain, self._head_seq
        for writer_id, seq, kind, call_id, team, at_us, body, digest in rows:
            if chain is None or writer_id != chain.writer_id:
                if chain is not None and writer_id < chain.writer_id:
                    self._report.broken("record_moved", f"writer {writer_id}/{seq}", "stands among another writer's")
                    continue
                chain, head_seq = self._begin(writer_id), self._head_seq
            computed = link(chain.bases[0], writer_id, seq, kind, call_id, team, at_us, body.encode())
            if seq == chain.seq and computed == digest and at_us >= chain.at_us and seq:
                chain.bases = (digest,)
            elif not self._looked_into(chain, (writer_id, seq, kind, call_id, team, at_us, body, digest)):
                continue
            chain.last_hash = digest
            chain.seq = seq + 1
            chain.at_us = at_us
            chain.counts[kind] = chain.counts.get(kind, 0) + 1
            if chain.unsealed is None:
                chain.unsealed = seq, at_us
            if seq >= head_seq:
                self._reach_head(chain)
                head_seq = self._head_seq

    def finish(self) -> None:
        """Ends the last chain; what heads are left name writers that are gone."""
        self._end()
        self._skip_heads(None)
        for writer_id in self._writers:
            self._report.broken("writer_missing", f"writer {writer_id}", "none of its records is there")
        if self._unsealed_at_us is not None and self._unsealed_at_us < self._at_us - COMMIT_LAG_US:
            since = utc(self._unsealed_at_us)
            self._report.incomplete(f"the ends of the chains: no checkpoint names what was written since {since}")

    def _begin(self, writer_id: str) -> _Chain:
        self._end()
        self._skip_heads(writer_id)
        self._report.counted["writers"] += 1
        self._chain = _Chain(writer_id)
        self._head_seq = self._next_head_seq(writer_id)
        return self._chain

    def _next_head_seq(self, writer_id: str) -> int:
        return self._head[1] if self._head is not None and self._head[0] == writer_id else _NO_HEAD

    def _looked_into(self, chain: _Chain, row: tuple[Any, ...]) -> bool:
        """A record that is the first of its chain, or that is not what comes next; False to pass it over."""
        writer_id, seq, kind, call_id, team, at_us, body, digest = row
        where = chain.where(seq)
        if seq < chain.seq:
            self._report.broken("record_repeated", where, f"stands again, after {chain.seq - 1}")
            return False
        if seq > chain.seq:
            self._tell_missing(chain, seq)
            chain.bases = (digest,)
            return True
        computed = [link(base, writer_id, seq, kind, call_id, team, at_us, body.encode()) for base in chain.bases]
        if digest in computed:
            chain.bases = (digest,)
        else:
            what = "it is not what its hash says" + (f", or does not follow {seq - 1}" if seq else "")
            self._report.broken("record_changed", where, what)
            chain.bases = (digest, *computed)
        if at_us < chain.at_us:
            self._report.broken("time_reversed", where, f"of {utc(at_us)}, before {utc(chain.at_us)} of the last one")
        if seq == 0:
            self._open(where, kind, at_us, body)
        return True

    def _open(self, where: str, kind: str, at_us: int, body: str) -> None:
        """The first record names the checkpoint that was the last one then."""
        try:
            event = orjson.loads(body)
            last = event["last_checkpoint"]
            is_opening = kind == "notice" and event["event"] == "writer_started"
            named = None if last is None else (int(last["number"]), bytes.fromhex(last["hash"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            is_opening, named = False, None
        first_at_us = self._checkpoints.first_at_us
        if not is_opening:
            self._report.broken("writer_unopened", where, "the first record of a writer tells that it started")
        elif named is not None:
            self._checkpoints.named(*named, where)
        elif first_at_us is not None and first_at_us < at_us - COMMIT_LAG_US:
            self._report.broken("writer_unopened", where, "it knows of no checkpoint, though there were some")

    def _tell_missing(self, chain: _Chain, seq: int) -> None:
        first, last = chain.seq, seq - 1
        what = "is missing" if first == last else f"and all up to {last} are missing"
        self._report.broken("record_missing", chain.where(first), what)

    def _reach_head(self, chain: _Chain) -> None:
        """Checkpoints name the record that was just taken, or one before it that is missing."""
        while self._next_head_seq(chain.writer_id) < chain.seq and self._head is not None:
            _, seq, digest, number = self._head
            if seq == chain.seq - 1:
                if digest != chain.last_hash:
                    since = f"after {chain.sealed_seq}" if chain.sealed_seq >= 0 else "from the first record on"
                    what = f"checkpoint {number} names another hash: rewritten {since}"
                    self._report.broken("head_differs", chain.where(seq), what)
                counts = chain.count()
                new = tuple(now - before for now, before in zip(counts, chain.sealed_counts, strict=True))
                self._checkpoints.counted(number, new)
                chain.sealed_counts, chain.sealed_seq, chain.unsealed = counts, seq, None
            self._head = next(self._heads, None)
        self._head_seq = self._next_head_seq(chain.writer_id)

    def _end(self) -> None:
        chain = self._chain
        if chain is None:
            return
        self.newest_at_us = max(self.newest_at_us, chain.at_us)
        last_head = self._skip_heads_of(chain.writer_id)
        if last_head is not None and last_head[0] >= chain.seq:
            what = f"cut off: checkpoint {last_head[1]} names record {last_head[0]}"
            self._report.broken("tail_missing", chain.where(chain.seq), what)
        self._compare_row(chain)
        if chain.unsealed is None:
            return
        seq, at_us = chain.unsealed
        newest_us = self._checkpoints.newest_at_us
        if newest_us is not None and at_us < newest_us - COMMIT_LAG_US:
            what = f"of {utc(at_us)}, but no checkpoint up to {utc(newest_us)} names it or a later one"
            self._report.broken("record_unsealed", chain.where(seq), what)
        else:
            self._unsealed_at_us = min(at_us, self._unsealed_at_us or at_us)

    def _compare_row(self, chain: _Chain) -> None:
        writer = self._writers.pop(chain.writer_id, None)
        where = f"writer {chain.writer_id}"
        if writer is None:
            self._report.broken("writer_differs", where, "audit_writer has no row of it")
        elif writer.head_seq >= chain.seq:
            what = f"cut off: audit_writer names record {writer.head_seq}"
            self._report.broken("tail_missing", chain.where(chain.seq), what)
        elif (writer.head_seq, writer.head_hash) != (chain.seq - 1, chain.last_hash):
            what = f"audit_writer ends it with {writer.head_seq}, or with another hash"
            self._report.broken("writer_differs", where, what)
        elif writer.counts != chain.count():
            names = "intents, outcomes, answers and notices"
            what = f"audit_writer counts {writer.counts} {names}, it has {chain.count()}"
            self._report.broken("writer_differs", where, what)

    def _skip_heads_of(self, writer_id: str) -> tuple[int, int] | None:
        """Passes over the heads of one writer; gives seq and checkpoint of the last of them."""
        last = None
        while self._head is not None and self._head[0] == writer_id:
            last = self._head[1], self._head[3]
            self._head = next(self._heads, None)
        return last

    def _skip_heads(self, until: str | None) -> None:
        """Tells of the writers before *until* that checkpoints name and the trail does not have."""
        while self._head is not None and (until is None or self._head[0] < until):
            writer_id = self._head[0]
            last = self._skip_heads_of(writer_id)
            if last is not None:
                self._writers.pop(writer_id, None)
                what = f"none of its records is there; checkpoint {last[1]} names record {last[0]}"
                self._report.broken("writer_missing", f"writer {writer_id}", what)

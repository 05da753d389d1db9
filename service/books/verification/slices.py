"""Checks records of a part of the books: each fits the hash before it, which its line brings along.

What is missing between them cannot be seen; what checkpoints name can.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from service.books.chain import ROOT, link
from service.books.verification.checkpoints import CheckpointCheck
from service.books.verification.findings import Report


class SliceCheck:
    """Takes the records of each writer by seq, the writers by their ids.

    Args:
        report: Told what does not hold.
        checkpoints: Has taken the checkpoints of that time.
    """

    def __init__(self, report: Report, checkpoints: CheckpointCheck) -> None:
        self._report = report
        self._heads: Iterator[tuple[str, int, bytes, int]] = checkpoints.heads.sorted()
        self._head = next(self._heads, None)
        self._last: tuple[str, int, bytes] = ("", -1, ROOT)
        self.newest_at_us = 0
        """Of the newest record."""

    def take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Takes the next records, as rows of the table audit with the hash before."""
        for writer_id, seq, kind, call_id, team, at_us, body, digest, before in rows:
            where = f"writer {writer_id}/{seq}"
            last_writer, last_seq, last_hash = self._last
            if (writer_id, seq) <= (last_writer, last_seq):
                self._report.broken("record_moved", where, f"stands after {last_writer}/{last_seq}")
                continue
            base = before if seq else ROOT
            if base is None:
                self._report.broken("record_missing", f"writer {writer_id}/{seq - 1}", f"{where} is there")
            elif link(base, writer_id, seq, kind, call_id, team, at_us, body.encode()) != digest:
                self._report.broken(
                    "record_changed", where, f"it is not what its hash says, or does not follow {seq - 1}"
                )
            elif (last_writer, last_seq + 1) == (writer_id, seq) and base != last_hash:
                self._report.broken("record_changed", where, f"it does not follow {last_seq}")
            self._compare_head(writer_id, seq, digest, where)
            self._last = writer_id, seq, digest
            self.newest_at_us = max(self.newest_at_us, at_us)

    def finish(self) -> None:
        """Says what was not looked at."""
        self._report.incomplete("what is missing between the records: only a part of the books is there")

    def _compare_head(self, writer_id: str, seq: int, digest: bytes, where: str) -> None:
        while self._head is not None and self._head[:2] <= (writer_id, seq):
            if self._head[:2] == (writer_id, seq) and self._head[2] != digest:
                self._report.broken("head_differs", where, f"checkpoint {self._head[3]} names another hash")
            self._head = next(self._heads, None)

"""Sorts and sums more rows than memory should hold, by way of a temporary file that has no name.

Rows are tuples of what `marshal` can write; those that are compared MUST have the same types in the same places.
"""

import heapq
import marshal
import os
import tempfile
from collections.abc import Iterator
from itertools import groupby
from operator import add, itemgetter
from types import TracebackType
from typing import Any, Self, TypeAlias

ROWS_IN_MEMORY_MAX = 50_000
_CHUNK_ROWS = 500

Row: TypeAlias = tuple[Any, ...]
Measures: TypeAlias = tuple[int, ...]


class Spool:
    """Takes rows in any order and gives them back sorted, once.

    Args:
        rows_in_memory_max: What is kept at once before it goes to the file.
    """

    def __init__(self, rows_in_memory_max: int = ROWS_IN_MEMORY_MAX) -> None:
        self._rows_max = rows_in_memory_max
        self._rows: list[Row] = []
        self._runs: list[list[tuple[int, int]]] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the spool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """Takes a row."""
        self._rows.append(row)
        if len(self._rows) >= self._rows_max:
            self._write_run()

    def sorted(self) -> Iterator[Row]:
        """All rows in order."""
        self._rows.sort()
        self._file.flush()
        return heapq.merge(*(self._run(run) for run in self._runs), self._rows)

    def _write_run(self) -> None:
        self._rows.sort()
        run = []
        for first in range(0, len(self._rows), _CHUNK_ROWS):
            chunk = marshal.dumps(self._rows[first : first + _CHUNK_ROWS])
            run.append((self._file.tell(), len(chunk)))
            self._file.write(chunk)
        self._runs.append(run)
        self._rows.clear()

    def _run(self, run: list[tuple[int, int]]) -> Iterator[Row]:
        for offset, length in run:
            # What was written by this process into a file that has no name comes from nobody else.
            yield from marshal.loads(os.pread(self._file.fileno(), length, offset))  # noqa: S302


class Tally:
    """Sums measures by key, over more keys than memory should hold.

    Args:
        keys_in_memory_max: What is kept at once before it goes to the file.
    """

    def __init__(self, keys_in_memory_max: int = ROWS_IN_MEMORY_MAX) -> None:
        self._keys_max = keys_in_memory_max
        self._sums: dict[Row, Measures] = {}
        self._spool = Spool(keys_in_memory_max)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._spool.__exit__(kind, error, at)

    def add(self, key: Row, measures: Measures) -> None:
        """Adds to a key's sums; every call of one tally has as many *measures*."""
        before = self._sums.get(key)
        self._sums[key] = measures if before is None else tuple(map(add, before, measures))
        if len(self._sums) >= self._keys_max:
            self._write_sums()

    def sums(self) -> Iterator[tuple[Row, Measures]]:
        """Every key with its sums, in order of the keys."""
        self._write_sums()
        for key, rows in groupby(self._spool.sorted(), key=itemgetter(0)):
            yield key, tuple(map(sum, zip(*(measures for _, measures in rows), strict=True)))

    def _write_sums(self) -> None:
        for item in self._sums.items():
            self._spool.add(item)
        self._sums.clear()

"""Reads all of the books, or a part of them, from one snapshot: section by section, page by page.

Records come writer by writer, the writers in the order of their ids as Python compares them: databases differ in it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from service.books.sections import AFTER_RECORDS, ALL, BEFORE_RECORDS, RECORDS, RECORDS_OF_WINDOW, Section, Window
from service.storage.database import Row, Transaction, Value, Work
from service.storage.errors import StorageError

PAGE_ROWS = 2000

_WRITERS_BEGIN = "SELECT MIN(writer_id) FROM audit"
_WRITERS_GO_ON = "SELECT MIN(writer_id) FROM audit WHERE writer_id > $1"
_WRITERS_OF_WINDOW = """
SELECT DISTINCT writer_id FROM audit WHERE at_us >= $1 AND at_us < $2 AND ($3 = '' OR team = $3)"""

T = TypeVar("T")


class Readable(Protocol):
    """The part of a `Database` that is needed here."""

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        ...


Take: TypeAlias = Callable[[Section, list[Row]], object]


class Walk:
    """One reading of the books.

    Args:
        begun: Told when the snapshot is of, in µs since the epoch, before anything is taken.
        take: Given each page.
        unreadable: Told of a row that cannot be read, such as text that is no UTF-8.
        window: What of the books.
    """

    def __init__(
        self,
        begun: Callable[[int], object],
        take: Take,
        unreadable: Callable[[str], object],
        window: Window = ALL,
    ) -> None:
        self._begun = begun
        self._take = take
        self._unreadable = unreadable
        self._window = window
        self._steps: deque[_Step] | None = None

    async def over(self, database: Readable) -> None:
        """Reads everything, in one snapshot; in a new one after a row that cannot be read.

        Raises:
            StorageError: The database cannot be read.
        """
        while self._steps is None or self._steps:
            try:
                await database.read(self._go_on)
            except StorageError as error:
                if self._steps is None or not isinstance(error.__cause__, UnicodeDecodeError):
                    raise
                await self._row_by_row(database)

    async def _go_on(self, tx: Transaction) -> None:
        if self._steps is None:
            ((at_us,),) = await tx.fetch("SELECT clock_us()")
            self._steps = deque(await self._planned(tx))
            self._begun(at_us)
        while self._steps:
            step = self._steps[0]
            rows = await tx.fetch(step.section.page, *step.values(self._window, PAGE_ROWS, 0))
            if rows:
                self._take(step.section, rows)
            if len(rows) == PAGE_ROWS:
                step.after = step.key_of(rows[-1])
            else:
                self._steps.popleft()

    async def _planned(self, tx: Transaction) -> list["_Step"]:
        is_all = self._window.is_all
        records = RECORDS if is_all else RECORDS_OF_WINDOW
        return [
            *(_Step(section) for section in BEFORE_RECORDS if is_all or section.bounds),
            *(_Step(records, (writer_id,)) for writer_id in sorted(await self._writers(tx))),
            *(_Step(section) for section in AFTER_RECORDS),
        ]

    async def _writers(self, tx: Transaction) -> list[str]:
        if not self._window.is_all:
            return [writer_id for (writer_id,) in await tx.fetch(_WRITERS_OF_WINDOW, *self._window)]
        writers = []
        ((writer_id,),) = await tx.fetch(_WRITERS_BEGIN)
        while writer_id is not None:
            writers.append(writer_id)
            ((writer_id,),) = await tx.fetch(_WRITERS_GO_ON, writer_id)
        return writers

    async def _row_by_row(self, database: Readable) -> None:
        """Reads the page that cannot be read in one piece, without the rows that cannot be read."""
        steps = self._steps
        if not steps:
            return
        step = steps[0]
        last = None
        for offset in range(PAGE_ROWS):
            values = step.values(self._window, 1, offset)
            try:
                rows = await database.read(lambda tx, values=values: tx.fetch(step.section.page, *values))  # type: ignore[misc]
            except StorageError as error:
                if not isinstance(error.__cause__, UnicodeDecodeError):
                    raise
                self._unreadable(f"{step.section.name} {offset + 1} after {'/'.join(map(str, step.after))}")
                continue
            if not rows:
                break
            last = rows[0]
            self._take(step.section, rows)
        if last is None:
            steps.popleft()
        else:
            step.after = step.key_of(last)


@dataclass(slots=True)
class _Step:
    """A section, or what of it belongs to one writer, read up to a key."""

    section: Section
    of: tuple[Value, ...] = ()
    after: tuple[Value, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.after = self.section.first

    def values(self, window: Window, rows_max: int, offset: int) -> tuple[Value, ...]:
        return (*self.of, *self.after, *window[: self.section.bounds], rows_max, offset)

    def key_of(self, row: Row) -> tuple[Value, ...]:
        return tuple(row[place] for place in self.section.key)

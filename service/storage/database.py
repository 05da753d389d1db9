"""The seam to the database: a transaction. SQLite and PostgreSQL stand behind it and pass one suite.

Each statement stands once, in the dialect that both speak: `$1` to `$n` whose FIRST occurrences are in this order
(SQLite binds by sequence), RETURNING, ON CONFLICT, CAST(x AS BIGINT), no booleans, and `clock_us()` for the time.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Transaction(Protocol):
    """What runs inside one transaction. After a statement has failed every further one fails, and nothing is kept."""

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        """Runs one statement of any kind; the rows of a SELECT or RETURNING."""
        ...

    async def fetch_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        """Runs the statement once for each of *rows*, in one round trip; the rows of all RETURNINGs in one list."""
        ...

    async def execute_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Runs the statement once for each of *rows*, in one round trip, for its effect alone."""
        ...


Work: TypeAlias = Callable[[Transaction], Awaitable[T]]
"""The body of a transaction: awaits nothing but its transaction, and begins no other one.

On SQLite it runs in the thread of the connection, so what it touches besides MUST not be shared.
"""


class Step(NamedTuple):
    """One statement of a script, run once for each of its rows of values.

    What it returns, if it has a RETURNING, is one whole number each time; if it returns none, the script has failed.
    """

    sql: str
    rows: Sequence[Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Script(Generic[T]):
    """A transaction whose course is known before it begins.

    Attributes:
        steps: Its statements, in order.
        result: Makes of what they return what the transaction gives.
    """

    steps: Sequence[Step]
    result: Callable[[Sequence[int]], T]


class Database(Protocol):
    """One database: its only writer, readers beside it, and one reader more for glances."""

    @property
    def engine(self) -> Literal["sqlite", "postgres"]:
        """Which one it is, for the few who must know."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What an operator ought to mend in its configuration, in sentences."""
        ...

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:
        """Runs *work* in a transaction on the one writer connection, after those asked for before; what it returns.

        Once asked for it runs to its end, whether the caller still waits or not.

        Args:
            work: Any exception out of it rolls back and is passed on.
            lock_timeout_s: How long a row locked by someone else is waited for, in seconds; None for 0.5.

        Raises:
            StorageError: One of its subclasses says what is left behind.
        """
        ...

    async def run(self, script: Script[T]) -> T:
        """Runs a script as one transaction, after those asked for before; what its `result` makes.

        On PostgreSQL it is one message there and one back: no lock of it waits for this process. Once asked for it
        runs to its end, whether the caller still waits or not.

        Raises:
            Unforeseen: A statement with a RETURNING returned nothing.
            StorageError: One of its subclasses says what is left behind.
        """
        ...

    async def read(self, work: Work[T]) -> T:
        """Runs *work* on a snapshot that nothing changes, on a connection of its own; never waits for the writer.

        Raises:
            DatabaseUnavailable: The database cannot be read now.
            StorageError: A statement that it refuses, such as one that writes.
        """
        ...

    async def glance(self, work: Work[T]) -> T:
        """Does what `read` does, on a connection of its own: it waits for other glances only, never for a read.

        For what is little and must not be late, however many reports are being read.

        Raises:
            DatabaseUnavailable: The database cannot be read now.
            StorageError: A statement that it refuses, such as one that writes.
        """
        ...

    async def now_us(self) -> int:
        """The database's clock: microseconds since 1970.

        Raises:
            DatabaseUnavailable: It cannot be asked now.
        """
        ...

    async def close(self) -> None:
        """Runs what was asked for, then closes every connection; what is asked for later is DatabaseUnavailable."""
        ...

"""What the committer writes: each entry is one change to the books, with its record."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from service.books.period import Period
from service.books.records import Record
from service.books.usage import Usage
from service.storage.database import Transaction

State: TypeAlias = Literal["settled", "void", "forfeited"]

UTC = ZoneInfo("UTC")


class Admitted(NamedTuple):
    """A durable hold and intent."""

    period: Period
    """The budget's day that pays."""
    at_us: int
    """When, by the database's clock."""
    hold_nanos: int
    """What it holds."""


class Settled(NamedTuple):
    """A durable outcome."""

    committed_nanos: int
    """What the period has spent and holds, after everything committed together with this."""


@dataclass(slots=True, eq=False)
class Entry:
    """One change. `done` is resolved once it is durable, or failed once it is certain not to become so."""

    team: str
    done: "asyncio.Future[Any]" = field(init=False, repr=False)

    @property
    def is_kept(self) -> bool:
        """It tells what has happened already, so it is kept until it is durable, whatever the database does."""
        return False


@dataclass(slots=True, eq=False)
class Admission(Entry):
    """A hold and its intent; `done` gives `Admitted`."""

    call_id: str
    attempt: int
    limit_nanos: int
    zone: ZoneInfo
    hold_nanos: int
    price_version: str
    endpoint: str
    model: str
    credential_id: str
    intent: Callable[[Period], bytes]
    """Makes the record's body once the period is known."""
    abandoned: Callable[[Admitted], bytes]
    """Makes the outcome's body if the caller leaves before anything is sent."""

    def voided(self, admitted: Admitted) -> "Settlement":
        """The end of this attempt if nothing of it was sent."""
        usage = Usage(self.endpoint, self.model, self.credential_id, "", calls=0, attempts=1)
        outcome = Record("outcome", self.call_id, self.team, self.abandoned(admitted))
        return Settlement(self.team, self.call_id, self.attempt, admitted, "void", 0, outcome, usage)


@dataclass(slots=True, eq=False)
class Settlement(Entry):
    """The end of an attempt and its outcome; `done` gives `Settled`. Kept until it is durable."""

    call_id: str
    attempt: int
    admitted: Admitted
    state: State
    charge_nanos: int | None
    """None if it is not known: what was held stays charged."""
    outcome: Record
    usage: Usage

    @property
    def is_kept(self) -> bool:
        """See `Entry`."""
        return True


@dataclass(slots=True, eq=False)
class Withdrawal(Entry):
    """Makes sure that an admission whose commit is uncertain costs nothing, now or if it appears later.

    It leaves an outcome if there is a hold to void, and else a void hold in its place, so that the late commit
    would collide with it.
    """

    admission: Admission

    @property
    def is_kept(self) -> bool:
        """See `Entry`."""
        return True


@dataclass(slots=True, eq=False)
class Note(Entry):
    """A record by itself: an answer or a notice."""

    record: Record
    usages: tuple[Usage, ...] = ()
    zone: ZoneInfo = UTC
    keep: bool = False
    """Keeps it until it is durable; what is of a call then stands once, however often it is written."""
    corrects: bool = False
    """It tells of another end than the call's record before."""

    @property
    def is_kept(self) -> bool:
        """See `Entry`."""
        return self.keep


@dataclass(slots=True, eq=False)
class Work(Entry):
    """A change of its own kind, such as an adjustment, in a transaction alone; `done` gives what *act* returned."""

    act: Callable[[Transaction], Awaitable[tuple[Any, Record | list[Record] | None]]]
    """Makes it; gives its result, and its notices."""
    keep: bool = False

    @property
    def is_kept(self) -> bool:
        """See `Entry`."""
        return self.keep

"""The four kinds of audit record, before the chain gives them their place."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from service.books.period import Period

Kind: TypeAlias = Literal["intent", "outcome", "answer", "notice"]


@dataclass(frozen=True, slots=True)
class Record:
    """What one record says."""

    kind: Kind
    """Before an attempt, after it, the end of a call without one, or what is no single call."""
    call_id: str
    """Empty in a notice."""
    team: str
    """Empty where no team is known: refused credentials, and what concerns all teams."""
    body: bytes
    """JSON in UTF-8; exactly these bytes are stored and hashed. Never content, never a credential."""

    def of_day(self, period: Period) -> "Record":
        """The record with the day that it counts for, so that the rollups can be computed again from the records."""
        return replace(self, body=b'%b,"period_start_us":%d}' % (self.body[:-1], period.start_us))

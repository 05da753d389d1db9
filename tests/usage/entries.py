"""Entries of the books under many names, each with a record that says what it counts for."""

import itertools
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from service.books.entries import UTC, Admission, Admitted, Note, Settlement, State
from service.books.period import Period
from service.books.records import Record
from service.books.usage import NOTHING, UNITS, Units, Usage

_calls = itertools.count(1)


class Names(NamedTuple):
    """What an attempt is listed under."""

    endpoint: str = "chat"
    model: str = "command-x"
    credential_id: str = "key-1"


def admission(
    team: str, names: Names, hold_nanos: int, *, zone: ZoneInfo = UTC, limit_nanos: int = 10**12
) -> Admission:
    """The hold and the intent of a call's only attempt."""

    def intent(period: Period) -> bytes:
        facts = {"attempt": 1, "hold_nanos": hold_nanos, "period_start_us": period.start_us}
        return orjson.dumps(facts | names._asdict())

    def abandoned(admitted: Admitted) -> bytes:
        return _outcome(names, admitted, "void", 0, last=False, reason="CANCELLED")

    return Admission(
        team, f"call-{next(_calls):08d}", 1, limit_nanos, zone, hold_nanos, "2026-11-21.3fa9c1d2", *names,
        intent, abandoned,
    )  # fmt: skip


def settlement(
    held: Admission,
    admitted: Admitted,
    charge_nanos: int | None,
    state: State = "settled",
    *,
    last: bool = True,
    reason: str = "",
    units: Units = NOTHING,
) -> Settlement:
    """The end of an attempt."""
    names = Names(held.endpoint, held.model, held.credential_id)
    body = _outcome(names, admitted, state, charge_nanos, last=last, reason=reason, units=units)
    usage = Usage(*names, reason if last else "", calls=int(last), attempts=1, units=units)
    record = Record("outcome", held.call_id, held.team, body)
    return Settlement(held.team, held.call_id, 1, admitted, state, charge_nanos, record, usage)


def note(team: str, names: Names, counts: dict[str, int], *, zone: ZoneInfo = UTC) -> Note:
    """A record of so many calls by how they ended: an answer, a correction of one, or summed up refusals."""
    usages = tuple(Usage(*names, reason, calls=calls, attempts=0) for reason, calls in counts.items())
    body = {"usages": [[u.endpoint, u.model, u.credential_id, u.reason, u.calls] for u in usages]}
    return Note(team, Record("notice", "", team, orjson.dumps(body)), usages, zone)


def _outcome(
    names: Names,
    admitted: Admitted,
    state: str,
    charge_nanos: int | None,
    *,
    last: bool,
    reason: str,
    units: Units = NOTHING,
) -> bytes:
    body: dict[str, Any] = {
        "attempt": 1, "state": state, "last": last, "reason": reason, "charge_nanos": charge_nanos,
        "period_start_us": admitted.period.start_us, "admitted_at_us": admitted.at_us,
        "billed_units": dict(zip(UNITS, units, strict=True)), **names._asdict(),
    }  # fmt: skip
    return orjson.dumps(body)

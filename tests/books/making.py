"""Entries of the books as the service makes them, with bodies that say what the rollups are made from."""

import itertools
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from service.books.entries import UTC, Admission, Admitted, Note, Settlement, State
from service.books.period import Period
from service.books.records import Record
from service.books.usage import NOTHING, UNITS, Units, Usage

ENDPOINT, MODEL, CREDENTIAL, PRICES = "chat", "command-x", "key-1", "2026-11-21.3fa9c1d2"

_calls = itertools.count(1)


def new_call_id() -> str:
    """An id that sorts by time, as those of calls do."""
    return f"call-{next(_calls):08d}"


def admission(
    team: str = "search",
    hold_nanos: int = 10,
    limit_nanos: int = 100,
    *,
    call_id: str = "",
    attempt: int = 1,
    zone: ZoneInfo = UTC,
    price_version: str = PRICES,
) -> Admission:
    """The hold and the intent of an attempt."""
    call_id = call_id or new_call_id()

    def intent(period: Period) -> bytes:
        return orjson.dumps(
            {"attempt": attempt, "hold_nanos": hold_nanos, "price_version": price_version, "model": MODEL,
             "endpoint": ENDPOINT, "credential_id": CREDENTIAL, "period_start_us": period.start_us}
        )  # fmt: skip

    def abandoned(admitted: Admitted) -> bytes:
        return _outcome(attempt, hold_nanos, admitted, "void", 0, last=False, reason="CANCELLED")

    return Admission(
        team, call_id, attempt, limit_nanos, zone, hold_nanos, price_version, ENDPOINT, MODEL, CREDENTIAL,
        intent, abandoned,
    )  # fmt: skip


def settlement(
    admission: Admission,
    admitted: Admitted,
    charge_nanos: int | None,
    state: State = "settled",
    *,
    last: bool = True,
    reason: str = "",
    units: Units = NOTHING,
) -> Settlement:
    """The end of an attempt, which is the call's end if it is the *last*."""
    attempt, hold_nanos = admission.attempt, admission.hold_nanos
    body = _outcome(attempt, hold_nanos, admitted, state, charge_nanos, last=last, reason=reason, units=units)
    usage = Usage(ENDPOINT, MODEL, CREDENTIAL, reason if last else "", calls=int(last), attempts=1, units=units)
    record = Record("outcome", admission.call_id, admission.team, body)
    return Settlement(admission.team, admission.call_id, attempt, admitted, state, charge_nanos, record, usage)


def note(team: str = "search", reason: str = "", *, zone: ZoneInfo = UTC, keep: bool = False, calls: int = 1) -> Note:
    """The answer record of a call without an attempt."""
    usages = (Usage(ENDPOINT, "", CREDENTIAL, reason, calls=calls, attempts=0),)
    body = {"code": reason or "OK", "usages": _listed(usages)}
    return Note(team, Record("answer", new_call_id(), team, orjson.dumps(body)), usages, zone, keep)


def correction(admission: Admission, reason: str = "BOOKS_UNAVAILABLE") -> Note:
    """The answer record of a call that ended otherwise than its last outcome says."""
    usages = tuple(
        Usage(ENDPOINT, MODEL, CREDENTIAL, name, calls=calls, attempts=0) for name, calls in (("", -1), (reason, 1))
    )
    body = {"code": "UNAVAILABLE", "reason": reason, "corrects": True, "usages": _listed(usages)}
    record = Record("answer", admission.call_id, admission.team, orjson.dumps(body))
    return Note(admission.team, record, usages, admission.zone, keep=True)


def notice(team: str = "", *, keep: bool = False) -> Note:
    """A record that counts for nothing."""
    return Note(team, Record("notice", "", team, b'{"event":"reloaded"}'), keep=keep)


def _listed(usages: Sequence[Usage]) -> list[list[Any]]:
    return [[u.endpoint, u.model, u.credential_id, u.reason, u.calls] for u in usages]


def _outcome(
    attempt: int,
    hold_nanos: int,
    admitted: Admitted,
    state: str,
    charge_nanos: int | None,
    *,
    last: bool,
    reason: str,
    units: Units = NOTHING,
) -> bytes:
    body: dict[str, Any] = {
        "attempt": attempt, "state": state, "code": reason or "OK", "last": last, "hold_nanos": hold_nanos,
        "model": MODEL, "endpoint": ENDPOINT, "credential_id": CREDENTIAL,
        "period_start_us": admitted.period.start_us, "admitted_at_us": admitted.at_us,
        "billed_units": {name: count for name, count in zip(UNITS, units, strict=True) if count},
    }  # fmt: skip
    if charge_nanos is not None:
        body["charge_nanos"] = charge_nanos
    if reason and reason != "CANCELLED":
        body["reason"] = reason
    return orjson.dumps(body)

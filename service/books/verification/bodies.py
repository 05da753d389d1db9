"""Reads the facts that a verification needs out of the bodies of records, which may hold anything.

What is not as the service writes it raises `Unreadable`.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from service.books.usage import UNITS


class Unreadable(ValueError):
    """No record of its kind has this body."""


class Terms(NamedTuple):
    """What an attempt was admitted with: the hold's row and the intent say the same."""

    team: str
    period_start_us: int
    hold_nanos: int
    price_version: str
    endpoint: str
    model: str
    credential_id: str


class Ended(NamedTuple):
    """How an attempt ended, by its outcome."""

    state: str
    charge_nanos: int | None
    period_start_us: int
    hold_nanos: int
    admitted_at_us: int


class Share(NamedTuple):
    """What a record adds to the rollups."""

    endpoint: str
    model: str
    credential_id: str
    reason: str
    measures: tuple[int, ...]
    """Calls, attempts, nanos, and the billed units in the order of `UNITS`."""


def object_of(body: str) -> dict[str, Any]:
    """The JSON object in a body."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unreadable("its body is no JSON") from None
    if not isinstance(fields, dict):
        raise Unreadable("its body is no JSON object")
    return fields


def attempt_of(fields: dict[str, Any]) -> int:
    """The number of the attempt that an intent or an outcome is about."""
    return _number(fields, "attempt")


def terms_of(team: str, intent: dict[str, Any]) -> Terms:
    """What an intent says."""
    return Terms(team, *_typed(intent, _TERMS, _TERMS_TYPES))


def ended_of(outcome: dict[str, Any]) -> Ended:
    """How an outcome says that its attempt ended."""
    state, *facts = _typed(outcome, _ENDED, _ENDED_TYPES)
    charge_nanos = _number(outcome, "charge_nanos") if outcome.get("charge_nanos") is not None else None
    return Ended(state, charge_nanos, *facts)


def share_of(outcome: dict[str, Any], ended: Ended) -> Share:
    """What an outcome adds to the rollups: an attempt, what it cost, and its call if it is the last of it."""
    endpoint, model, credential_id, code = _typed(outcome, _NAMES, _NAMES_TYPES)
    last = outcome.get("last") is True
    reason = outcome.get("reason", "")
    named = ("" if code == "OK" and not reason else reason or code) if last else ""
    units = outcome.get("billed_units", {})
    if not isinstance(units, dict) or not isinstance(named, str) or not units.keys() <= _UNIT_NAMES:
        raise Unreadable("it does not say what was billed")
    billed = [_number(units, name) if name in units else 0 for name in UNITS] if units else _NO_UNITS
    return Share(endpoint, model, credential_id, named, (int(last), 1, ended.charge_nanos or 0, *billed))


def shares_of(fields: dict[str, Any]) -> list[Share]:
    """What an answer or a notice adds to the rollups: calls."""
    usages = fields.get("usages", ())
    try:
        return [Share(*_texts(names), (_integer(calls), 0, 0, *_NO_UNITS)) for *names, calls in usages]
    except (TypeError, ValueError):
        raise Unreadable("it does not say what it counts for") from None


def day_of(fields: dict[str, Any]) -> int:
    """The start of the day that an answer or a notice counts for."""
    return _number(fields, "period_start_us")


def forfeits_of(notice: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Call id, attempt and hold of the attempts that a notice forfeits."""
    attempts = notice.get("attempts")
    if not isinstance(attempts, list) or not all(isinstance(each, dict) for each in attempts):
        raise Unreadable("it does not say what it forfeits")
    return [(_text(each, "call_id"), _number(each, "attempt"), _number(each, "hold_nanos")) for each in attempts]


_NO_UNITS = [0] * len(UNITS)
_UNIT_NAMES = frozenset(UNITS)


_TERMS = itemgetter(*Terms._fields[1:])
_TERMS_TYPES = (int, int, str, str, str, str)
_ENDED = itemgetter("state", *Ended._fields[2:])
_ENDED_TYPES = (str, int, int, int)
_NAMES = itemgetter("endpoint", "model", "credential_id", "code")
_NAMES_TYPES = (str, str, str, str)


def _typed(
    fields: dict[str, Any], members: Callable[[dict[str, Any]], tuple[Any, ...]], types: tuple[type, ...]
) -> tuple[Any, ...]:
    """Several members, of which each has its type; at once, for there are many records."""
    try:
        values = members(fields)
    except KeyError as missing:
        raise Unreadable(f"it has no {missing.args[0]}") from None
    if tuple(map(type, values)) != types:
        raise Unreadable("what it says has other types than the service writes")
    return values


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int:
        raise Unreadable(f"it has no whole number {name}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if type(value) is not str:
        raise Unreadable(f"it has no text {name}")
    return value


def _texts(names: list[Any]) -> tuple[str, str, str, str]:
    endpoint, model, credential_id, reason = names
    if not all(isinstance(name, str) for name in names):
        raise TypeError
    return endpoint, model, credential_id, reason


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value

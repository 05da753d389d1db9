"""The bounds of AdminService's requests."""

import datetime
import re

from cohort.v1.audit_pb2 import AuditRecordKind, ListAuditRecordsRequest
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.usage_pb2 import Money
from service.validation.rules import PASSES, Rules
from service.validation.values import line, name, one_of, whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect
from service.validation.windows import check_window, page_token, timestamp

NOTE_CHARS_MAX = 500
REQUEST_ID_CHARS_MAX = 100
AMOUNT_USD_MAX = 1_000_000
"""Of one adjustment; thousands of these in a day are still far within 64 bits of nano-USD."""
RECORDS_MAX = 1_000

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NANOS_MAX = 999_999_999


def violations_of_set_frozen(request: SetTeamFrozenRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _SET_FROZEN.check(findings, "", checked), request)


def violations_of_adjust_budget(request: AdjustBudgetRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _ADJUST_BUDGET.check(findings, "", checked), request)


def violations_of_list_audit(request: ListAuditRecordsRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered."""
    return collect(_check_list_audit, request)


def _amount(findings: Findings, field: str, value: Money) -> None:
    _MONEY.check(findings, f"{field}.", value)
    if value.units * value.nanos < 0:
        findings.add(f"{field}.nanos", ViolationReason.CONFLICT, "must not have another sign than units")
    if not value.units and not value.nanos:
        findings.add(field, ViolationReason.OUT_OF_RANGE, "must not be 0")


def _day(findings: Findings, field: str, value: str) -> None:
    try:
        known = _DAY.fullmatch(value) and datetime.date.fromisoformat(value).year >= 1970
    except ValueError:
        known = False
    if not known:
        findings.add(field, ViolationReason.OUT_OF_RANGE, "must be a day since 1970, written as 2026-11-21")


def _kind(findings: Findings, field: str, value: int) -> None:
    if value not in AuditRecordKind.values():
        findings.add(field, ViolationReason.UNKNOWN_VALUE, f"must be an AuditRecordKind; is {value}")


def _check_list_audit(findings: Findings, request: ListAuditRecordsRequest) -> None:
    _LIST_AUDIT.check(findings, "", request)
    has_start, has_end = request.HasField("start_time"), request.HasField("end_time")
    check_window(findings, request, has_start=has_start, has_end=has_end)


_MONEY = Rules.of(
    Money,
    {
        "currency_code": one_of("USD"),
        "units": whole(-AMOUNT_USD_MAX, AMOUNT_USD_MAX),
        "nanos": whole(-_NANOS_MAX, _NANOS_MAX),
    },
)
_SET_FROZEN = Rules.of(
    SetTeamFrozenRequest, {"team": word, "frozen": PASSES, "note": line(NOTE_CHARS_MAX)}, required=("team",)
)
_ADJUST_BUDGET = Rules.of(
    AdjustBudgetRequest,
    {
        "team": word,
        "amount": _amount,
        "note": line(NOTE_CHARS_MAX),
        "request_id": name(REQUEST_ID_CHARS_MAX),
        "day": _day,
    },
    required=("team", "amount", "note", "request_id"),
)
_LIST_AUDIT = Rules.of(
    ListAuditRecordsRequest,
    {
        "team": word,
        "all_teams": PASSES,
        "kind": _kind,
        "call_id": word,
        "start_time": timestamp,
        "end_time": timestamp,
        "reason": word,
        "newest_first": PASSES,
        "page_size": whole(1, RECORDS_MAX),
        "page_token": page_token,
    },
)

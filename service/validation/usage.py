"""The bounds of GetUsage."""

from collections.abc import Sequence

from cohort.v1 import get_usage_pb2
from cohort.v1.get_usage_pb2 import GetUsageRequest, UsageDimension
from service.validation.rules import PASSES, Rules
from service.validation.values import whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect
from service.validation.windows import SECONDS_MAX, check_window, page_token, quarter_hour

ROWS_MAX = 10_000
WINDOW_YEARS_MAX = 10
BY_HOUR_DAYS_MAX = 31

_DAY_S = 86_400
_WINDOW_S_MAX = WINDOW_YEARS_MAX * 366 * _DAY_S
_BY_HOUR_S_MAX = BY_HOUR_DAYS_MAX * _DAY_S + 3_600
"""A month of 31 days in which the clocks go back has an hour more."""
_SECOND_US = 1_000_000
_DIMENSIONS = {value for value in UsageDimension.values() if value}


def violations_of_get_usage(request: GetUsageRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered. Changes nothing."""
    return collect(_check, request)


def violations_of_usage_window(start_us: int, end_us: int, *, by_hour: bool) -> list[Violation]:
    """Returns what is wrong with a window of which the caller has left a bound to its default.

    Args:
        start_us: Where it begins, µs since the epoch.
        end_us: Where it ends.
        by_hour: Whether hours have rows of their own.
    """
    findings = Findings()
    if not 0 <= start_us < end_us <= (SECONDS_MAX + 1) * _SECOND_US:
        findings.add("end_time", ViolationReason.OUT_OF_RANGE, "must be after start_time; today's end is its default")
    else:
        _check_length(findings, (end_us - start_us) // _SECOND_US, by_hour=by_hour)
    return findings.violations


def _group_by(findings: Findings, field: str, value: Sequence[int]) -> None:
    seen: set[int] = set()
    for index, dimension in enumerate(value):
        if dimension not in _DIMENSIONS:
            description = f"must be a UsageDimension other than UNSPECIFIED; is {dimension}"
            findings.add(f"{field}[{index}]", ViolationReason.UNKNOWN_VALUE, description)
        elif dimension in seen:
            findings.add(f"{field}[{index}]", ViolationReason.DUPLICATE, "is listed before")
        seen.add(dimension)
    if {get_usage_pb2.USAGE_DIMENSION_HOUR, get_usage_pb2.USAGE_DIMENSION_DAY} <= seen:
        findings.add(field, ViolationReason.CONFLICT, "must not hold both HOUR and DAY")


_GET_USAGE = Rules.of(
    GetUsageRequest,
    {
        "team": word,
        "all_teams": PASSES,
        "start_time": quarter_hour,
        "end_time": quarter_hour,
        "group_by": _group_by,
        "page_size": whole(1, ROWS_MAX),
        "page_token": page_token,
    },
)


def _check(findings: Findings, request: GetUsageRequest) -> None:
    _GET_USAGE.check(findings, "", request)
    has_start, has_end = request.HasField("start_time"), request.HasField("end_time")
    check_window(findings, request, has_start=has_start, has_end=has_end)
    if has_start and has_end:
        by_hour = get_usage_pb2.USAGE_DIMENSION_HOUR in request.group_by
        _check_length(findings, request.end_time.seconds - request.start_time.seconds, by_hour=by_hour)


def _check_length(findings: Findings, length_s: int, *, by_hour: bool) -> None:
    if length_s > _WINDOW_S_MAX:
        description = f"may be {WINDOW_YEARS_MAX} years after start_time at most"
        findings.add("end_time", ViolationReason.OUT_OF_RANGE, description)
    elif by_hour and length_s > _BY_HOUR_S_MAX:
        description = f"may be {BY_HOUR_DAYS_MAX} days after start_time at most where group_by holds HOUR"
        findings.add("end_time", ViolationReason.OUT_OF_RANGE, description)

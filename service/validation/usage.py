"""The bounds of GetUsage."""

from collections.abc import Sequence

from cohort.v1 import get_usage_pb2
from cohort.v1.get_usage_pb2 import GetUsageRequest, UsageDimension
from service.validation.rules import PASSES, Rules
from service.validation.values import whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect
from service.validation.windows import check_window, page_token, quarter_hour

ROWS_MAX = 10_000
_DIMENSIONS = {value for value in UsageDimension.values() if value}


def violations_of_get_usage(request: GetUsageRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered. Changes nothing."""
    return collect(_check, request)


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

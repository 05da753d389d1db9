"""What requests for reports have in common: whose figures, in which window of time, and which page of them."""

from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from service.validation.values import name
from service.validation.violation import Findings, ViolationReason

QUARTER_S = 15 * 60
PAGE_TOKEN_CHARS_MAX = 500

SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999; µs of it are far within 64 bits."""
_NANOS_MAX = 999_999_999

page_token = name(PAGE_TOKEN_CHARS_MAX)


class Window(Protocol):
    """A request for one team's figures or everyone's, in a window of time."""

    team: str
    all_teams: bool

    @property
    def start_time(self) -> Timestamp: ...

    @property
    def end_time(self) -> Timestamp: ...


def timestamp(findings: Findings, field: str, value: Timestamp) -> None:
    """Checks a point in time: from 1970 to 9999, as google.protobuf.Timestamp bounds its parts."""
    if not 0 <= value.seconds <= SECONDS_MAX:
        findings.add(field, ViolationReason.OUT_OF_RANGE, "must be from 1970 to 9999")
    elif not 0 <= value.nanos <= _NANOS_MAX:
        findings.add(field, ViolationReason.OUT_OF_RANGE, f"nanos must be from 0 to {_NANOS_MAX}; is {value.nanos}")


def quarter_hour(findings: Findings, field: str, value: Timestamp) -> None:
    """Checks a point in time at which a quarter of an hour begins: figures are kept by these."""
    timestamp(findings, field, value)
    if value.seconds % QUARTER_S or value.nanos:
        findings.add(field, ViolationReason.OUT_OF_RANGE, "must be on a quarter of an hour, such as 12:45:00")


def check_window(findings: Findings, request: Window, *, has_start: bool, has_end: bool) -> None:
    """Checks what the fields say together."""
    if request.all_teams and request.team:
        findings.add("all_teams", ViolationReason.CONFLICT, "must not be set together with team")
    start, end = request.start_time, request.end_time
    if has_start and has_end and (end.seconds, end.nanos) <= (start.seconds, start.nanos):
        findings.add("end_time", ViolationReason.OUT_OF_RANGE, "must be after start_time")

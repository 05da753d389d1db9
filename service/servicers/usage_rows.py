"""Figures as the books have them → as the contract shows them. A page has up to 10,000 rows, so each µs counts."""

from google.protobuf.timestamp_pb2 import Timestamp

from cohort.v1 import get_usage_pb2
from service.books.usage import UNITS
from service.books.usage_report import Figures, UsageRow
from service.money import fill_money

_SECOND_US = 1_000_000


def fill_row(message: get_usage_pb2.UsageRow, row: UsageRow) -> None:
    """Writes a row into a message that is empty; what was not asked for stays so."""
    key = row.key
    message.team = key.team
    message.endpoint = key.endpoint
    message.model = key.model
    message.access_key_id = key.credential_id
    if key.end_us:
        _fill_time(message.start_time, key.start_us)
        _fill_time(message.end_time, key.end_us)
    fill_figures(message.figures, row.figures)


def fill_figures(message: get_usage_pb2.UsageFigures, figures: Figures) -> None:
    """Writes figures into a message that is empty."""
    message.calls = figures.calls
    if figures.failures_by_reason:
        message.failures = figures.failures
        by_reason = message.failures_by_reason
        for reason, calls in figures.failures_by_reason.items():  # update() takes twice as long
            by_reason[reason] = calls
    message.attempts = figures.attempts
    units = message.billed_units
    for unit, count in zip(UNITS, figures.units, strict=True):
        if count:
            setattr(units, unit, count)
    fill_money(message.cost, figures.cost_nanos)
    if figures.open or figures.forfeited:
        _fill_unresolved(message.unresolved, figures)
    else:
        message.unresolved.CopyFrom(_NONE_UNRESOLVED)


def _fill_unresolved(message: get_usage_pb2.UnresolvedAttempts, figures: Figures) -> None:
    message.open = figures.open
    fill_money(message.open_hold, figures.open_nanos)
    message.forfeited = figures.forfeited
    fill_money(message.forfeited_hold, figures.forfeited_nanos)


def _fill_time(message: Timestamp, at_us: int) -> None:
    """Hours and days begin on whole seconds; FromMicroseconds takes twice as long."""
    message.seconds, rest_us = divmod(at_us, _SECOND_US)
    if rest_us:
        message.nanos = rest_us * 1000


_NONE_UNRESOLVED = get_usage_pb2.UnresolvedAttempts()
_fill_unresolved(_NONE_UNRESOLVED, Figures())

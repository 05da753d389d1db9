"""Figures as the books have them → as the contract shows them."""

from cohort.v1 import get_usage_pb2
from service.books.usage import UNITS
from service.books.usage_report import Figures, UsageRow
from service.money import fill_money


def fill_row(message: get_usage_pb2.UsageRow, row: UsageRow) -> None:
    """Writes a row into a message that is empty; what was not asked for stays so."""
    key = row.key
    message.team = key.team
    message.endpoint = key.endpoint
    message.model = key.model
    message.access_key_id = key.credential_id
    if key.end_us:
        message.start_time.FromMicroseconds(key.start_us)
        message.end_time.FromMicroseconds(key.end_us)
    fill_figures(message.figures, row.figures)


def fill_figures(message: get_usage_pb2.UsageFigures, figures: Figures) -> None:
    """Writes figures into a message that is empty."""
    message.calls = figures.calls
    message.failures = figures.failures
    for reason, calls in figures.failures_by_reason.items():
        message.failures_by_reason[reason] = calls
    message.attempts = figures.attempts
    units = message.billed_units
    for unit, count in zip(UNITS, figures.units, strict=True):
        if count:
            setattr(units, unit, count)
    fill_money(message.cost, figures.cost_nanos)
    unresolved = message.unresolved
    unresolved.open = figures.open
    fill_money(unresolved.open_hold, figures.open_nanos)
    unresolved.forfeited = figures.forfeited
    fill_money(unresolved.forfeited_hold, figures.forfeited_nanos)

"""Usage as CSV: a line for each row, figures in columns of their own."""

import csv
import io

from cohort.v1.get_usage_pb2 import BilledCounts, GetUsageResponse, UsageRow
from service.cli.times import UTC, local
from service.money import nanos_of, usd_of

UNITS = tuple(field.name for field in BilledCounts.DESCRIPTOR.fields)
COLUMNS = (
    *("team", "endpoint", "model", "access_key_id", "start_time", "end_time"),
    *("calls", "failures", "failures_by_reason", "attempts", *UNITS, "cost_usd"),
    *("open_attempts", "open_hold_usd", "forfeited_attempts", "forfeited_hold_usd"),
)


def usage_csv(usage: GetUsageResponse) -> str:
    """The rows of an answer, under a line of headings; times are UTC, amounts US dollars."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in usage.rows)
    return text.getvalue()


def _cells(row: UsageRow) -> list[str]:
    figures, unresolved = row.figures, row.figures.unresolved
    times = [
        local(getattr(row, name), UTC).isoformat().replace("+00:00", "Z") if row.HasField(name) else ""
        for name in ("start_time", "end_time")
    ]
    reasons = " ".join(f"{reason}={count}" for reason, count in sorted(figures.failures_by_reason.items()))
    counts = [str(getattr(figures.billed_units, unit)) for unit in UNITS]
    return [
        *(row.team, row.endpoint, row.model, row.access_key_id, *times),
        *(str(figures.calls), str(figures.failures), reasons, str(figures.attempts), *counts),
        usd_of(nanos_of(figures.cost)),
        *(str(unresolved.open), usd_of(nanos_of(unresolved.open_hold))),
        *(str(unresolved.forfeited), usd_of(nanos_of(unresolved.forfeited_hold))),
    ]

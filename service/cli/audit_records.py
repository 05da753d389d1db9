"""Records of the audit trail on the command line: which, page by page, and how they are shown."""

import argparse
import datetime
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from cohort.v1.audit_pb2 import AuditRecord, AuditRecordKind, ListAuditRecordsRequest
from service.cli.amounts import dollars
from service.cli.calling import Caller
from service.cli.printing import printable
from service.cli.table import table
from service.cli.times import UTC, local, timestamp
from service.cli.usage_pages import add_whose
from service.money import money_of

PAGE_RECORDS = 1000
KINDS = {name.removeprefix("AUDIT_RECORD_KIND_").lower(): value for name, value in AuditRecordKind.items() if value}
_KIND_NAMES = {value: name for name, value in KINDS.items()}
_COLUMNS = ("TIME (UTC)", "KIND", "TEAM", "CALL", "WHAT")


def add_which(parser: argparse.ArgumentParser) -> None:
    """Adds what the records have in common."""
    add_whose(parser)
    parser.add_argument("--kind", choices=KINDS, help="records of one kind")
    parser.add_argument("--call", default="", metavar="ID", help="records of one call")
    parser.add_argument(
        "--reason", default="", metavar="REASON", help="how it ended, such as BUDGET_SPENT, or a gRPC code"
    )


def request_of(arguments: argparse.Namespace) -> ListAuditRecordsRequest:
    """The conditions of `add_which`."""
    return ListAuditRecordsRequest(
        team=arguments.team,
        all_teams=arguments.all_teams,
        kind=KINDS[arguments.kind] if arguments.kind else 0,  # type: ignore[arg-type]
        call_id=arguments.call,
        reason=arguments.reason,
    )


def set_window(
    request: ListAuditRecordsRequest, start: datetime.datetime | None, end: datetime.datetime | None
) -> None:
    """Bounds the time; one without a zone is UTC."""
    if start is not None:
        request.start_time.CopyFrom(timestamp(start, UTC))
    if end is not None:
        request.end_time.CopyFrom(timestamp(end, UTC))


def pages(caller: Caller, request: ListAuditRecordsRequest, records_max: int) -> Iterator[list[AuditRecord]]:
    """The records page by page, at most *records_max* of them.

    Raises:
        CommandFailed: A call failed.
    """
    while records_max > 0:
        request.page_size = min(records_max, PAGE_RECORDS)
        page = caller.call(caller.admin.ListAuditRecords, request)
        yield list(page.records)
        records_max -= len(page.records)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return


def as_line(record: AuditRecord) -> str:
    """A record as a line of JSON, its body as it was written."""
    fields = {
        "writer_id": record.writer_id,
        "seq": record.seq,
        "kind": _KIND_NAMES[record.kind],
        "call_id": record.call_id,
        "team": record.team,
        "at_us": record.time.ToMicroseconds(),
        "body": record.body_json,
        "hash": record.hash.hex(),
    }
    return f"{orjson.dumps(fields).decode()}\n"


def as_table(records: Iterable[AuditRecord]) -> str:
    """Records for people."""
    return table(_COLUMNS, [_cells(record) for record in records])


def as_text(record: AuditRecord) -> str:
    """A record on a line by itself, for those who watch."""
    return f"{'  '.join(cell[0] for cell in _cells(record))}\n"


def _cells(record: AuditRecord) -> list[list[str]]:
    moment = local(record.time, UTC)
    what = _what(record.kind, orjson.loads(record.body_json))
    texts = (f"{moment:%Y-%m-%d %H:%M:%S.%f}", f"{_KIND_NAMES[record.kind]:7}", record.team, record.call_id, what)
    return [[printable(text).replace("\n", " ") or "-"] for text in texts]


def _what(kind: AuditRecordKind.ValueType, body: dict[str, Any]) -> str:
    """What a record says, in a few words."""
    rpc = str(body.get("rpc", "")).rpartition("/")[2]
    ended = body.get("reason") or body.get("code", "")
    if kind == KINDS["intent"]:
        return f"{rpc} {body.get('model')} by {body.get('principal')}, holds {_dollars(body.get('hold_nanos'))}"
    if kind == KINDS["outcome"]:
        ends = ", ends the call" if body.get("last") else ""
        return f"{ended}: {body.get('state')}, cost {_dollars(body.get('charge_nanos'))}{ends}"
    if kind == KINDS["answer"]:
        return f"{rpc} {ended} to {body.get('principal', 'an unknown caller')}"
    facts = [_fact(name, value) for name, value in body.items() if name != "event"]
    return ": ".join(filter(None, (str(body.get("event")), ", ".join(filter(None, facts)))))


def _fact(name: str, value: object) -> str:
    """A member of a notice in a few words; "" if they would be many."""
    match name, value:
        case _, "":
            return ""
        case str(), int() if name.endswith("_nanos"):
            return f"{name.removesuffix('_nanos')} {_dollars(value)}"
        case _, str() | int():
            return f"{name} {value}"
        case "counts", dict():
            return ", ".join(f"{count} {reason}" for reason, count in value.items())
        case "sources", dict():
            return f"of {len(value)} source{'' if len(value) == 1 else 's'}, most of {next(iter(value), '')}"
        case "attempts", list():
            return f"{len(value)} attempt{'' if len(value) == 1 else 's'}"
    return ""


def _dollars(nanos: object) -> str:
    return dollars(money_of(nanos)) if isinstance(nanos, int) else "unknown"

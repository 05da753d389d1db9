"""`cohort audit tail`: the newest records of the audit trail, and those to come until Ctrl-C.

Each look is a call, and leaves a record itself: records of reading the trail are not shown.
"""

import argparse
import datetime
import time

from cohort.v1.audit_pb2 import AuditRecord, ListAuditRecordsRequest
from service.cli import calling
from service.cli.audit_records import add_which, as_line, as_text, pages, request_of, set_window
from service.cli.printing import show

NEWEST_SHOWN = 10
INTERVAL_S = 2.0
OVERLAP = datetime.timedelta(seconds=30)
"""Records of another replica may become visible so much later than newer ones of the first."""
_RECORDS_MAX = 100_000
"""Of one look; what is left comes with the next one."""
_OWN = '"rpc":"/cohort.v1.AdminService/ListAuditRecords"'
_LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


class Watch:
    """Tells new records from those that were shown already."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, int], datetime.datetime] = {}
        self._newest = _LONG_AGO

    @property
    def since(self) -> datetime.datetime:
        """From when on to look."""
        return self._newest - OVERLAP

    def new(self, records: list[AuditRecord]) -> list[AuditRecord]:
        """Those of *records* that were not given before."""
        found = []
        for record in records:
            name, moment = (record.writer_id, record.seq), record.time.ToDatetime(datetime.UTC)
            if name not in self._shown:
                self._shown[name] = moment
                self._newest = max(self._newest, moment)
                if _OWN not in record.body_json:
                    found.append(record)
        self._shown = {name: moment for name, moment in self._shown.items() if moment >= self.since}
        return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_which(parser)
    parser.add_argument(
        "--json", action="store_true", help="print each record as a line of JSON, with its body and hash"
    )
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    conditions = request_of(arguments)
    told = as_line if arguments.json else as_text
    watch = Watch()
    with calling.caller(arguments) as caller:
        records = _newest(caller, conditions)
        while True:
            show("".join(map(told, watch.new(records))))
            time.sleep(INTERVAL_S)
            records = _since(caller, conditions, watch.since)


def _newest(caller: calling.Caller, conditions: ListAuditRecordsRequest) -> list[AuditRecord]:
    request = _copy(conditions)
    request.newest_first = True
    found = [record for page in pages(caller, request, NEWEST_SHOWN) for record in page]
    return found[::-1]


def _since(caller: calling.Caller, conditions: ListAuditRecordsRequest, since: datetime.datetime) -> list[AuditRecord]:
    request = _copy(conditions)
    set_window(request, since, None)
    return [record for page in pages(caller, request, _RECORDS_MAX) for record in page]


def _copy(conditions: ListAuditRecordsRequest) -> ListAuditRecordsRequest:
    request = ListAuditRecordsRequest()
    request.CopyFrom(conditions)
    return request

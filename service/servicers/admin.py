"""AdminService: validate → books → answer. What it changes, the books record in the same transaction."""

import datetime
import functools

from cohort.v1 import audit_pb2
from cohort.v1.audit_pb2 import AuditRecordKind, ListAuditRecordsRequest, ListAuditRecordsResponse
from cohort.v1.budget_pb2 import (
    AdjustBudgetRequest,
    AdjustBudgetResponse,
    SetTeamFrozenRequest,
    SetTeamFrozenResponse,
)
from service.books.books import Books
from service.books.errors import TeamUnknown
from service.books.listing import Listed, RecordPlace, Wanted, list_records
from service.books.records import Kind
from service.call import Call, current_call
from service.context import Context
from service.errors import RequestInvalid
from service.money import nanos_of
from service.servicers.asking import at_us_of, operator_of, page_token_of, place_of, require_valid, team_asked
from service.servicers.budget import fill_budget
from service.snapshot import BudgetTerms
from service.validation import (
    Violation,
    ViolationReason,
    violations_of_adjust_budget,
    violations_of_list_audit,
    violations_of_set_frozen,
)

RECORDS_DEFAULT = 100

_KINDS: dict[AuditRecordKind.ValueType, Kind] = {
    audit_pb2.AUDIT_RECORD_KIND_INTENT: "intent",
    audit_pb2.AUDIT_RECORD_KIND_OUTCOME: "outcome",
    audit_pb2.AUDIT_RECORD_KIND_ANSWER: "answer",
    audit_pb2.AUDIT_RECORD_KIND_NOTICE: "notice",
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}


class AdminServicer:
    """SetTeamFrozen, AdjustBudget and ListAuditRecords."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def SetTeamFrozen(self, request: SetTeamFrozenRequest, _: Context) -> SetTeamFrozenResponse:
        """Freezes a team, or lets it go again."""
        call = current_call()
        require_valid(violations_of_set_frozen(request))
        terms = _terms_of(call, request.team)
        by = operator_of(call, request.note)
        held = await self._books.set_frozen(request.team, terms.zone, by, frozen=request.frozen)
        response = SetTeamFrozenResponse(team=request.team)
        if held.standing.frozen_at_us:
            response.frozen = True
            response.since_time.FromMicroseconds(held.standing.frozen_at_us)
        return response

    async def AdjustBudget(self, request: AdjustBudgetRequest, _: Context) -> AdjustBudgetResponse:
        """Charges an amount to a budget, or gives it back."""
        call = current_call()
        require_valid(violations_of_adjust_budget(request))
        terms = _terms_of(call, request.team)
        day = _day_of(request.day, terms)
        by = operator_of(call, request.note)
        amount_nanos = nanos_of(request.amount)
        held = await self._books.adjust(request.team, terms.zone, amount_nanos, request.request_id, by, day)
        response = AdjustBudgetResponse()
        fill_budget(response.budget, request.team, terms, held)
        return response

    async def ListAuditRecords(self, request: ListAuditRecordsRequest, _: Context) -> ListAuditRecordsResponse:
        """Lists records of the audit trail."""
        require_valid(violations_of_list_audit(request))
        wanted = Wanted(
            team=team_asked(current_call(), request),
            kind=_KINDS.get(request.kind),
            call_id=request.call_id,
            start_us=at_us_of(request.start_time),
            end_us=at_us_of(request.end_time) if request.HasField("end_time") else None,
            reason=request.reason,
            newest_first=request.newest_first,
        )
        after = RecordPlace(*place_of(request.page_token, (int, str, int))) if request.page_token else None
        records_max = request.page_size or RECORDS_DEFAULT
        page = await self._books.read(
            functools.partial(list_records, wanted=wanted, records_max=records_max, after=after)
        )
        response = ListAuditRecordsResponse(next_page_token=page_token_of(page.end) if page.end else "")
        for listed in page.records:
            _fill_record(response.records.add(), listed)
        return response


def _terms_of(call: Call, team: str) -> BudgetTerms:
    terms = call.snapshot.budgets.get(team)
    if terms is None:
        raise TeamUnknown(team)
    return terms


def _day_of(day: str, terms: BudgetTerms) -> datetime.date | None:
    if not day:
        return None
    date = datetime.date.fromisoformat(day)
    if date > datetime.datetime.now(terms.zone).date():
        raise RequestInvalid([Violation("day", ViolationReason.OUT_OF_RANGE, "must not be a day to come")])
    return date


def _fill_record(record: audit_pb2.AuditRecord, listed: Listed) -> None:
    record.writer_id = listed.writer_id
    record.seq = listed.seq
    record.kind = _KIND_NUMBERS[listed.kind]
    record.call_id = listed.call_id
    record.team = listed.team
    record.time.FromMicroseconds(listed.at_us)
    record.body_json = listed.body
    record.hash = listed.hash

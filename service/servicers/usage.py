"""GetUsage: validate → whose → window → report → answer."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cohort.v1 import get_usage_pb2
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse, UsageDimension
from service.books.books import Books
from service.books.errors import TeamUnknown
from service.books.operations import Held
from service.books.period import Period
from service.books.standings import standings
from service.books.usage_report import Dimension, Wanted, report_of, sum_up
from service.call import Call
from service.errors import RequestInvalid
from service.limits.limits import Limits
from service.offload import in_thread_if
from service.servicers.asking import at_us_of, page_token_of, place_of, require_valid, team_asked
from service.servicers.budget import fill_budget
from service.servicers.rate_limits import fill_rate_limits
from service.servicers.terms import fill_terms
from service.servicers.usage_rows import fill_figures, fill_row
from service.storage.database import Row, Transaction
from service.validation import Violation, ViolationReason, violations_of_get_usage, violations_of_usage_window

ROWS_DEFAULT = 1_000
REPORTS_MAX = 2
"""Summed up at once in this process; others wait here, where they can be given up."""
ROWS_IN_PLACE_MAX = 200
"""A row takes 10 µs to write into the answer: more of them are left to a thread."""

_DIMENSIONS: dict[UsageDimension.ValueType, Dimension] = {
    get_usage_pb2.USAGE_DIMENSION_TEAM: "team",
    get_usage_pb2.USAGE_DIMENSION_ENDPOINT: "endpoint",
    get_usage_pb2.USAGE_DIMENSION_MODEL: "model",
    get_usage_pb2.USAGE_DIMENSION_ACCESS_KEY: "credential",
    get_usage_pb2.USAGE_DIMENSION_HOUR: "hour",
    get_usage_pb2.USAGE_DIMENSION_DAY: "day",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that may be answered."""

    team: str | None
    zones: Mapping[str, ZoneInfo]
    """Of each budget asked about."""
    home: str
    """The budget whose today is the window by default."""
    start_us: int | None
    end_us: int | None
    dimensions: frozenset[Dimension]
    rows_max: int
    after: int
    """How many rows were on the pages before."""
    fingerprint: str
    """Of what must not change from page to page."""


@dataclass(frozen=True, slots=True)
class _Found:
    wanted: Wanted
    held: dict[str, Held]
    summed_up: Sequence[Row]


class UsageAnswers:
    """Answers GetUsage from the books."""

    def __init__(self, books: Books, limits: Limits) -> None:
        self._books = books
        self._limits = limits
        self._turns = asyncio.Semaphore(REPORTS_MAX)

    async def answer(self, call: Call, request: GetUsageRequest) -> GetUsageResponse:
        """What was consumed, what it cost, what is left, and what the caller may use.

        Raises:
            RequestInvalid: The request cannot be answered.
            ScopeMissing: Other teams are for operators.
            TeamUnknown: The config has no such team.
            BooksUnavailable: The database does not answer.
        """
        require_valid(violations_of_get_usage(request))
        asked = _asked(call, request)
        caller = call.caller
        counted = self._limits.ask([caller.team], caller.limits)

        async def look(tx: Transaction) -> tuple[_Found, dict[str, int]]:
            return await _found(tx, asked), await counted.read(tx)

        async with self._turns:
            found, taken = await self._books.read(look)
        response = await in_thread_if(len(found.summed_up) > ROWS_IN_PLACE_MAX, _response, call, asked, found)
        standings = self._limits.standings(caller.team, counted, taken, caller.limits)
        fill_rate_limits(response.terms.rate_limits, standings)
        return response


def _asked(call: Call, request: GetUsageRequest) -> _Asked:
    team = team_asked(call, request)
    budgets = call.snapshot.budgets
    home = team or call.caller.team
    if home not in budgets:
        raise TeamUnknown(home)
    start_us = at_us_of(request.start_time) if request.HasField("start_time") else None
    end_us = at_us_of(request.end_time) if request.HasField("end_time") else None
    after, fingerprint = 0, _fingerprint(request)
    if request.page_token:
        after, start_us, end_us = _place(request.page_token, fingerprint)
    return _Asked(
        team=team,
        zones={name: terms.zone for name, terms in budgets.items() if team is None or name == team},
        home=home,
        start_us=start_us,
        end_us=end_us,
        dimensions=frozenset(_DIMENSIONS[dimension] for dimension in request.group_by),
        rows_max=request.page_size or ROWS_DEFAULT,
        after=after,
        fingerprint=fingerprint,
    )


def _fingerprint(request: GetUsageRequest) -> str:
    same = GetUsageRequest()
    same.CopyFrom(request)
    same.ClearField("page_size")
    same.ClearField("page_token")
    return hashlib.sha256(same.SerializeToString(deterministic=True)).hexdigest()[:16]


def _place(page_token: str, fingerprint: str) -> tuple[int, int, int]:
    """How many rows were before, and the window: a page may be asked for after the day has turned."""
    after, start_us, end_us, of_request = place_of(page_token, (int, int, int, str))
    if of_request != fingerprint or after < 0:
        violation = Violation("page_token", ViolationReason.CONFLICT, "is the next_page_token of another request")
        raise RequestInvalid([violation])
    return after, start_us, end_us


async def _found(tx: Transaction, asked: _Asked) -> _Found:
    held = await standings(tx, asked.zones)
    today = held[asked.home].standing.period
    window = Period(
        today.start_us if asked.start_us is None else asked.start_us,
        today.end_us if asked.end_us is None else asked.end_us,
    )
    require_valid(violations_of_usage_window(window.start_us, window.end_us, by_hour="hour" in asked.dimensions))
    wanted = Wanted(asked.team, window, asked.dimensions)
    return _Found(wanted, held, await sum_up(tx, wanted, asked.rows_max, asked.after))


def _response(call: Call, asked: _Asked, found: _Found) -> GetUsageResponse:
    window = found.wanted.window
    report = report_of(found.summed_up, found.wanted, asked.after)
    response = GetUsageResponse()
    for row in report.rows:
        fill_row(response.rows.add(), row)
    fill_figures(response.total, report.total)
    response.start_time.FromMicroseconds(window.start_us)
    response.end_time.FromMicroseconds(window.end_us)
    for team in sorted(found.held):
        fill_budget(response.budgets.add(), team, call.snapshot.budget_of(team), found.held[team])
    fill_terms(response.terms, call.caller.team, call.snapshot)
    if report.has_more:
        place = (asked.after + len(response.rows), window.start_us, window.end_us, asked.fingerprint)
        response.next_page_token = page_token_of(place)
    return response

"""Whose usage is asked for, the whole of it, and the time zone that its days are in."""

import argparse
from zoneinfo import ZoneInfo

from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse
from service.cli.calling import Caller
from service.cli.times import UTC

PAGE_ROWS = 10_000


def add_whose(parser: argparse.ArgumentParser) -> None:
    """Adds --team and --all-teams."""
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--team", default="", metavar="TEAM", help="needs the scope admin (default: the caller's own)")
    whose.add_argument("--all-teams", action="store_true", help="all teams together; needs the scope admin")


def whole(caller: Caller, request: GetUsageRequest) -> GetUsageResponse:
    """All pages of an answer as one.

    Raises:
        CommandFailed: A call failed.
    """
    request.page_size = PAGE_ROWS
    usage = caller.call(caller.stub.GetUsage, request)
    page = usage
    while page.next_page_token:
        request.page_token = page.next_page_token
        page = caller.call(caller.stub.GetUsage, request)
        usage.rows.extend(page.rows)
    usage.next_page_token = ""
    return usage


def budget_zone(usage: GetUsageResponse) -> ZoneInfo:
    """The time zone of the budget asked about; of the caller's own where there are several."""
    zones = {budget.team: budget.time_zone for budget in usage.budgets}
    zone = zones.get(usage.terms.team) if len(zones) > 1 else next(iter(zones.values()), None)
    return ZoneInfo(zone) if zone else UTC

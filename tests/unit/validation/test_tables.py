"""Each row of the tables: exactly what must be found, and nothing where nothing is wrong."""

import pytest
from google.protobuf.message import Message

from service.validation import ViolationReason
from tests.unit.validation.chat_rows import CHAT_ROWS
from tests.unit.validation.embed_rows import EMBED_ROWS, RERANK_ROWS
from tests.unit.validation.message_rows import MESSAGE_ROWS
from tests.unit.validation.operator_rows import (
    ADJUST_ROWS,
    AUDIT_ROWS,
    FREEZE_ROWS,
    GET_TEAM_ROWS,
    GET_USAGE_ROWS,
    LIST_TEAMS_ROWS,
    PASSING_ADJUSTMENTS,
    PASSING_AUDITS,
    PASSING_FREEZES,
    PASSING_TEAM_LISTS,
    PASSING_TEAMS,
    PASSING_USAGES,
)
from tests.unit.validation.passing_rows import PASSING_CHATS, PASSING_EMBEDS, PASSING_RERANKS
from tests.unit.validation.tables import (
    Members,
    Row,
    adjust_budget,
    chat,
    embed,
    found_in,
    get_team,
    get_usage,
    list_audit,
    list_teams,
    rerank,
    set_frozen,
)

REFUSED = [
    *((chat, row) for row in CHAT_ROWS),
    *((chat, row) for row in MESSAGE_ROWS),
    *((embed, row) for row in EMBED_ROWS),
    *((rerank, row) for row in RERANK_ROWS),
    *((get_usage, row) for row in GET_USAGE_ROWS),
    *((adjust_budget, row) for row in ADJUST_ROWS),
    *((set_frozen, row) for row in FREEZE_ROWS),
    *((list_audit, row) for row in AUDIT_ROWS),
    *((list_teams, row) for row in LIST_TEAMS_ROWS),
    *((get_team, row) for row in GET_TEAM_ROWS),
]
PASSING = [
    *((chat, what, members) for what, members in PASSING_CHATS.items()),
    *((embed, what, members) for what, members in PASSING_EMBEDS.items()),
    *((rerank, what, members) for what, members in PASSING_RERANKS.items()),
    *((get_usage, what, members) for what, members in PASSING_USAGES.items()),
    *((adjust_budget, what, members) for what, members in PASSING_ADJUSTMENTS.items()),
    *((set_frozen, what, members) for what, members in PASSING_FREEZES.items()),
    *((list_audit, what, members) for what, members in PASSING_AUDITS.items()),
    *((list_teams, what, members) for what, members in PASSING_TEAM_LISTS.items()),
    *((get_team, what, members) for what, members in PASSING_TEAMS.items()),
]


@pytest.mark.parametrize(
    ("make", "row"), [pytest.param(make, row, id=f"{make.__name__}: {row.what}") for make, row in REFUSED]
)
def test_a_bad_value_is_found_by_path_and_reason_and_nothing_else_is(make: type, row: Row) -> None:
    assert found_in(make(row.members)) == list(row.found)


@pytest.mark.parametrize(
    ("make", "members"),
    [pytest.param(make, members, id=f"{make.__name__}: {what}") for make, what, members in PASSING],
)
def test_a_value_within_its_bounds_passes(make: type, members: Members) -> None:
    request: Message = make(members)

    assert found_in(request) == []


def test_the_rows_reach_every_reason_but_the_last() -> None:
    reached = {reason for _, row in REFUSED for _, reason in row.found}
    print(f"\nvalidation: {len(REFUSED)} rows refused, {len(PASSING)} rows passing, {len(reached)} reasons")

    assert reached == set(ViolationReason) - {ViolationReason.MORE_VIOLATIONS}


def test_no_row_stands_twice() -> None:
    names = [(make.__name__, row.what) for make, row in REFUSED]

    assert len(names) == len(set(names))

"""What is refused of requests for reports and of operators' requests, and what passes."""

from tests.unit.validation.tables import Members, Row

QUARTER, NEXT = "2026-11-21T12:45:00Z", "2026-11-21T13:00:00Z"

_TEAM_ROWS = [
    Row("a team of 65 characters", {"team": "a" * 65}, [("team", "TOO_LARGE")]),
    Row("a team in another script", {"team": "équipe"}, [("team", "INVALID_CHARACTERS")]),
]
_WHOSE_ROWS = [
    Row("a team and all", {"team": "search", "all_teams": True}, [("all_teams", "CONFLICT")]),
    *_TEAM_ROWS,
]
_WINDOW_ROWS = [
    Row("an end before its start", {"start_time": NEXT, "end_time": QUARTER}, [("end_time", "OUT_OF_RANGE")]),
    Row("an empty window", {"start_time": QUARTER, "end_time": QUARTER}, [("end_time", "OUT_OF_RANGE")]),
    Row("a start before 1970", {"start_time": "1969-12-31T23:45:00Z"}, [("start_time", "OUT_OF_RANGE")]),
]
_PAGE_ROWS = [
    Row("less than no rows", {"page_size": -1}, [("page_size", "OUT_OF_RANGE")]),
    Row("a page token of 501 characters", {"page_token": "a" * 501}, [("page_token", "TOO_LARGE")]),
    Row("a page token of two lines", {"page_token": "a\nb"}, [("page_token", "INVALID_CHARACTERS")]),
]

GET_USAGE_ROWS = [
    *_WHOSE_ROWS,
    *_WINDOW_ROWS,
    *_PAGE_ROWS,
    Row("a start between quarters", {"start_time": "2026-11-21T12:44:00Z"}, [("start_time", "OUT_OF_RANGE")]),
    Row("an end a nanosecond late", {"end_time": "2026-11-21T12:45:00.000000001Z"}, [("end_time", "OUT_OF_RANGE")]),
    Row(
        "more than ten years",
        {"start_time": "2026-01-01T00:00:00Z", "end_time": "2036-02-01T00:00:00Z"},
        [("end_time", "OUT_OF_RANGE")],
    ),
    Row(
        "hours of more than the longest month",
        {
            "start_time": "2026-10-01T00:00:00Z",
            "end_time": "2026-11-01T01:15:00Z",
            "group_by": ["USAGE_DIMENSION_HOUR"],
        },
        [("end_time", "OUT_OF_RANGE")],
    ),
    Row("10,001 rows", {"page_size": 10_001}, [("page_size", "OUT_OF_RANGE")]),
    Row("no dimension", {"group_by": [0]}, [("group_by[0]", "UNKNOWN_VALUE")]),
    Row("a dimension of tomorrow", {"group_by": ["USAGE_DIMENSION_TEAM", 99]}, [("group_by[1]", "UNKNOWN_VALUE")]),
    Row("a dimension twice", {"group_by": [3, 2, 3]}, [("group_by[2]", "DUPLICATE")]),
    Row("hours and days", {"group_by": ["USAGE_DIMENSION_HOUR", "USAGE_DIMENSION_DAY"]}, [("group_by", "CONFLICT")]),
    Row(
        "much at once",
        {"team": "é", "all_teams": True, "group_by": [0, 1, 1], "page_size": -1},
        [
            ("team", "INVALID_CHARACTERS"),
            ("group_by[0]", "UNKNOWN_VALUE"),
            ("group_by[2]", "DUPLICATE"),
            ("page_size", "OUT_OF_RANGE"),
            ("all_teams", "CONFLICT"),
        ],
    ),
]

ADJUST_ROWS = [
    *(Row(f"no {name}", {name: ""}, [(name, "REQUIRED")]) for name in ("team", "note", "request_id")),
    Row("no amount", {"amount": None}, [("amount", "REQUIRED")]),
    Row("nothing", {"amount": {}}, [("amount", "OUT_OF_RANGE")]),
    Row("euros", {"amount": {"currency_code": "EUR", "units": 1}}, [("amount.currency_code", "UNKNOWN_VALUE")]),
    Row("more than a million", {"amount": {"units": 1_000_001}}, [("amount.units", "OUT_OF_RANGE")]),
    Row("more than a million back", {"amount": {"units": -1_000_001}}, [("amount.units", "OUT_OF_RANGE")]),
    Row("a billion nanos", {"amount": {"nanos": 10**9}}, [("amount.nanos", "OUT_OF_RANGE")]),
    Row("two signs", {"amount": {"units": 1, "nanos": -1}}, [("amount.nanos", "CONFLICT")]),
    Row("a note of 501 characters", {"note": "é" * 501}, [("note", "TOO_LARGE")]),
    Row("a note of two lines", {"note": "a\nb"}, [("note", "INVALID_CHARACTERS")]),
    Row("a request id of 101 characters", {"request_id": "a" * 101}, [("request_id", "TOO_LARGE")]),
    Row("a request id in another script", {"request_id": "ü"}, [("request_id", "INVALID_CHARACTERS")]),
    *(
        Row(f"the day {day!r}", {"day": day}, [("day", "OUT_OF_RANGE")])
        for day in ["today", "20261121", "2026-W47-6", "2026-02-29", "2026-11-21T00:00", "1969-12-31", "٢٠٢٦-١١-٢١"]
    ),
]

FREEZE_ROWS = [
    Row("no team", {"team": "", "frozen": True}, [("team", "REQUIRED")]),
    Row("a note of 501 characters", {"note": "a" * 501}, [("note", "TOO_LARGE")]),
    Row("a note with a bell", {"note": "a\a"}, [("note", "INVALID_CHARACTERS")]),
]

AUDIT_ROWS = [
    *_WHOSE_ROWS,
    *_WINDOW_ROWS,
    *_PAGE_ROWS,
    Row("1,001 records", {"page_size": 1_001}, [("page_size", "OUT_OF_RANGE")]),
    Row("a kind of tomorrow", {"kind": 99}, [("kind", "UNKNOWN_VALUE")]),
    Row("a call id of 65 characters", {"call_id": "a" * 65}, [("call_id", "TOO_LARGE")]),
    Row("a reason of two lines", {"reason": "BUDGET\nSPENT"}, [("reason", "INVALID_CHARACTERS")]),
]

GET_TEAM_ROWS = _TEAM_ROWS
LIST_TEAMS_ROWS = [
    *_PAGE_ROWS,
    Row("101 teams", {"page_size": 101}, [("page_size", "OUT_OF_RANGE")]),
]

PASSING_USAGES: dict[str, Members] = {
    "nothing set": {},
    "one team": {"team": "search"},
    "all teams": {"all_teams": True},
    "a window": {"start_time": QUARTER, "end_time": NEXT},
    "from the epoch": {"start_time": "1970-01-01T00:00:00Z"},
    "to the end of time": {"end_time": "9999-12-31T23:45:00Z"},
    "ten years": {"start_time": "2024-01-01T00:00:00Z", "end_time": "2034-01-01T00:00:00Z"},
    "hours of the longest month, with the hour that comes twice": {
        "start_time": "2026-09-30T22:00:00Z",
        "end_time": "2026-10-31T23:00:00Z",
        "group_by": ["USAGE_DIMENSION_HOUR"],
    },
    "every dimension but hours": {"group_by": [1, 2, 3, 4, 6]},
    "a page": {"page_size": 10_000, "page_token": "a" * 500},
}
PASSING_ADJUSTMENTS: dict[str, Members] = {
    "five dollars": {},
    "a nano-dollar back": {"amount": {"currency_code": "USD", "nanos": -1}},
    "a million and more nanos": {"amount": {"units": 1_000_000, "nanos": 999_999_999}},
    "a note of 500 characters": {"note": "é" * 500},
    "a leap day": {"day": "2024-02-29"},
}
PASSING_FREEZES: dict[str, Members] = {
    "a team to let go": {},
    "a team to freeze, and why": {"frozen": True, "note": "a loop in the nightly job"},
}
PASSING_AUDITS: dict[str, Members] = {
    "nothing set": {},
    "a moment": {"start_time": "2026-11-21T12:44:59.999999Z", "end_time": "2026-11-21T12:45:00Z"},
    "everything": {
        "all_teams": True,
        "kind": "AUDIT_RECORD_KIND_OUTCOME",
        "call_id": "019aa3f2-7b1c-7e0a-9d52-4c1f6f2b8a10",
        "reason": "BUDGET_SPENT",
        "newest_first": True,
        "page_size": 1_000,
        "page_token": "abc",
    },
}
PASSING_TEAMS: dict[str, Members] = {"one's own team": {}, "a team": {"team": "search"}}
PASSING_TEAM_LISTS: dict[str, Members] = {
    "nothing set": {},
    "a page": {"page_size": 100, "page_token": "a" * 500},
}

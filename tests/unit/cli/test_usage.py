"""`cohort usage`: what it asks for, and what it prints of the answer."""

import csv
import io
from pathlib import Path

import pytest
from google.protobuf import json_format

from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse, UsageDimension, UsageRow
from service.cli import main
from service.cli.usage_csv import COLUMNS, usage_csv
from service.cli.usage_pages import budget_zone
from service.cli.usage_text import usage_text
from tests.unit.cli.answering import ACCESS_KEY, Answering, answering
from tests.unit.cli.usage_answers import CHAT_ROW, EMBED_ROW, REFUSED_ROW, TERMS, WHOLE, at, budget, figures, usage

MODEL = UsageDimension.USAGE_DIMENSION_MODEL
DAY = UsageDimension.USAGE_DIMENSION_DAY
HOUR = UsageDimension.USAGE_DIMENSION_HOUR


def asked(folder: Path, *argv: str) -> GetUsageRequest:
    """The last request that a command makes."""
    with answering(WHOLE) as service:
        assert main(["usage", *argv, *service.flags(folder)]) == 0
    request = service.requests[-1]
    assert isinstance(request, GetUsageRequest)
    return request


def test_without_arguments_ones_own_team_is_shown_by_model_today(tmp_path: Path) -> None:
    assert asked(tmp_path) == GetUsageRequest(group_by=[MODEL], page_size=10_000)


def test_every_flag_is_a_field(tmp_path: Path) -> None:
    argv = "--team search --group-by access-key,day --from 2026-11-01T00:15Z --to 2026-11-21T00:00+01:00"

    request = asked(tmp_path, *argv.split())

    assert request == GetUsageRequest(
        team="search",
        group_by=[UsageDimension.USAGE_DIMENSION_ACCESS_KEY, DAY],
        start_time=at("2026-11-01T00:15Z"),
        end_time=at("2026-11-20T23:00Z"),
        page_size=10_000,
    )
    assert asked(tmp_path, "--all-teams", "--group-by", "none") == GetUsageRequest(all_teams=True, page_size=10_000)


def test_the_access_key_goes_with_the_request(tmp_path: Path) -> None:
    with answering(WHOLE) as service:
        main(["usage", *service.flags(tmp_path)])

    assert service.credentials == [{"x-api-key": ACCESS_KEY}]


def test_a_time_without_a_zone_is_meant_in_the_budgets(tmp_path: Path) -> None:
    with answering(WHOLE) as service:
        main(["usage", "--from", "2026-11-01", "--to", "2026-11-02T06:30Z", *service.flags(tmp_path)])

    first, second = service.requests
    assert first == GetUsageRequest(page_size=10_000)
    assert second == GetUsageRequest(
        group_by=[MODEL], start_time=at("2026-11-01T00:00+01:00"), end_time=at("2026-11-02T06:30Z"), page_size=10_000
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["--group-by", "weekday"],
        ["--from", "yesterday"],
        ["--json", "--csv"],
        ["--team", "a", "--all-teams"],
        ["--json", "reconcile", "invoice.csv"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_is_a_wrong_command_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["usage", *argv])

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: cohort usage")


def pages() -> Answering:
    rows = (CHAT_ROW, EMBED_ROW, REFUSED_ROW)
    answers = [usage(row, total=WHOLE.total, next_page_token=token) for row, token in zip(rows, "ab", strict=False)]
    return Answering([*answers, usage(REFUSED_ROW, total=WHOLE.total)])


def test_all_pages_are_shown_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(*pages().answers) as service:
        main(["usage", "--json", *service.flags(tmp_path)])

    shown = json_format.Parse(capsys.readouterr().out, GetUsageResponse())
    assert shown == usage(CHAT_ROW, EMBED_ROW, REFUSED_ROW, total=WHOLE.total)
    assert [request.page_token for request in service.requests if isinstance(request, GetUsageRequest)] == [
        "",
        "a",
        "b",
    ]


def test_the_json_is_the_answer_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(WHOLE) as service:
        main(["usage", "--json", *service.flags(tmp_path)])

    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert json_format.Parse(out, GetUsageResponse()) == WHOLE


def test_the_csv_has_every_figure_in_a_column_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(WHOLE) as service:
        main(["usage", "--csv", *service.flags(tmp_path)])

    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert tuple(rows[0]) == COLUMNS
    assert {name: value for name, value in rows[0].items() if value not in {"", "0", "0.00"}} == {
        "model": "command-a-03-2025",
        "calls": "1203",
        "failures": "3",
        "failures_by_reason": "BUDGET_SPENT=3",
        "attempts": "1200",
        "input_tokens": "1000000",
        "output_tokens": "1000000",
        "cost_usd": "12.50",
    }
    assert [row["model"] for row in rows] == ["command-a-03-2025", "embed-v4.0", ""]


def test_times_in_the_csv_are_utc() -> None:
    row = UsageRow(start_time=at("2026-11-21T00:00+01:00"), end_time=at("2026-11-22T00:00+01:00"), figures=figures(1))

    (line,) = csv.DictReader(io.StringIO(usage_csv(usage(row, total=figures(1)))))

    assert (line["start_time"], line["end_time"]) == ("2026-11-20T23:00:00Z", "2026-11-21T23:00:00Z")
    assert line["cost_usd"] == "0.000000001"


def test_the_text_shows_rows_with_bars_what_is_unknown_the_budget_and_the_terms() -> None:
    assert usage_text(WHOLE, [MODEL]).splitlines() == [
        "Usage from 2026-11-21 01:00 Europe/Berlin to 2026-11-22 01:00 Europe/Berlin",
        "",
        "MODEL              CALLS  FAILED  ATTEMPTS  BILLED                     COST",
        "command-a-03-2025  1,203       3     1,200  1,000,000 input_tokens   $12.50  ████████████████████",
        "                                            1,000,000 output_tokens",
        "embed-v4.0             2       0         2  16,666,667 input_tokens   $2.00  ███▏",
        "-                      1       1         0  -                         $0.00",
        "total              1,206       4     1,202  17,666,667 input_tokens  $14.50",
        "                                            1,000,000 output_tokens",
        "",
        "Failed: 4 BUDGET_SPENT",
        "",
        "Under way: 2 attempts, at most $0.12",
        "Ended without a bill: 1 attempt, at most $0.03, which the budget counts",
        "",
        "BUDGET   LIMIT   SPENT   HELD  AVAILABLE  SPENT █ HELD ▒ LEFT ░  RESETS AT",
        "search  $25.00  $14.53  $0.12     $10.35  ████████████░░░░░░░░   2026-11-22 01:00 Europe/Berlin",
        "",
        "Team search may use chat, embed: at most 4,096 output tokens a call",
        "",
        "MODEL                        ENDPOINT  PRICE (2026-11-21.3fa9c1d2)",
        "command-a-03-2025            chat      $2.50 per 1,000,000 input_tokens",
        "                                       $10.00 per 1,000,000 output_tokens",
        "command-a-reasoning-08-2025  -         none: refused",
        "embed-v3.0                   embed     $0.0001 per image",
    ]


def test_days_and_hours_are_shown_in_their_order_on_the_budgets_clocks() -> None:
    later = UsageRow(start_time=at("2026-11-21T23:00Z"), end_time=at("2026-11-22T00:00Z"), figures=figures(9))
    earlier = UsageRow(start_time=at("2026-11-20T23:00Z"), end_time=at("2026-11-21T00:00Z"), figures=figures(1))
    answer = usage(later, earlier, total=figures(10), budgets=WHOLE.budgets, terms=TERMS)

    days, hours = usage_text(answer, [DAY]).splitlines(), usage_text(answer, [HOUR]).splitlines()

    assert [line.split()[0] for line in days[3:5]] == ["2026-11-21", "2026-11-22"]
    assert [" ".join(line.split()[:2]) for line in hours[3:5]] == ["2026-11-21 00:00", "2026-11-22 00:00"]


def test_one_row_needs_no_total_and_nothing_at_all_is_no_error() -> None:
    one = usage_text(usage(UsageRow(figures=figures(5)), total=figures(5), terms=TERMS), [])
    none = usage_text(usage(total=figures(0, calls=0), terms=TERMS), [MODEL])

    assert "total" not in one
    assert none.splitlines()[3].split() == ["total", "0", "0", "0", "-", "$0.00"]


@pytest.mark.parametrize(
    ("limit", "spent", "held", "bar"),
    [
        (100, 0, 0, "░" * 20),
        (100, 1, 0, "█" + "░" * 19),
        (100, 50, 25, "█" * 10 + "▒" * 5 + "░" * 5),
        (100, 100, 0, "█" * 20),
        (100, 90, 60, "█" * 18 + "▒" * 2),
        (100, -40, 20, "░" * 20),
    ],
)
def test_the_bar_of_a_budget_is_as_long_as_the_limit(limit: int, spent: int, held: int, bar: str) -> None:
    answer = usage(total=figures(0), budgets=[budget("a", limit=limit, spent=spent, held=held)], terms=TERMS)

    assert f"  {bar}  " in usage_text(answer, [])


def test_a_frozen_team_is_marked() -> None:
    answer = usage(total=figures(0), budgets=[budget("a", limit=1, spent=0, frozen=True)], terms=TERMS)

    assert "\nFROZEN\n" in usage_text(answer, [])


def test_of_several_budgets_the_callers_own_says_the_zone() -> None:
    budgets = [budget("ads", limit=1, spent=0), budget("search", limit=1, spent=0, zone="Asia/Tokyo")]

    assert budget_zone(usage(total=figures(0), budgets=budgets, terms=TERMS)).key == "Asia/Tokyo"
    assert budget_zone(usage(total=figures(0), budgets=budgets[:1], terms=TERMS)).key == "UTC"
    assert budget_zone(usage(total=figures(0))).key == "UTC"

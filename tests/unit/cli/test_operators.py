"""`cohort teams` and `cohort budget`: what an operator's words become, and what is shown of the answer."""

import uuid
from pathlib import Path

import grpc
import pytest

from cohort.v1.budget_pb2 import (
    AdjustBudgetRequest,
    AdjustBudgetResponse,
    SetTeamFrozenRequest,
    SetTeamFrozenResponse,
)
from service.cli import main
from service.money import money_of, nanos_of
from tests.unit.cli.answering import answering
from tests.unit.cli.usage_answers import at, budget

ADJUSTED = AdjustBudgetResponse(budget=budget("search", limit=25_000_000_000, spent=-1_250_000_000))


@pytest.mark.parametrize("frozen", [True, False], ids=["freeze", "unfreeze"])
def test_a_team_is_frozen_or_let_go_with_a_note(
    frozen: bool,  # noqa: FBT001
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    since = at("2026-11-21T09:15Z") if frozen else None
    with answering(SetTeamFrozenResponse(team="search", frozen=frozen, since_time=since)) as service:
        argv = ["teams", "freeze" if frozen else "unfreeze", "search", "--note", "runaway job"]
        code = main([*argv, *service.flags(tmp_path)])

    assert code == 0
    assert service.requests == [SetTeamFrozenRequest(team="search", frozen=frozen, note="runaway job")]
    state = "frozen since 2026-11-21 09:15 UTC" if frozen else "not frozen"
    assert capsys.readouterr().out == f"Team search is {state}.\n"


def test_a_refusal_is_told_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(SetTeamFrozenResponse(), refusal=(grpc.StatusCode.PERMISSION_DENIED, "needs admin")) as service:
        code = main(["teams", "freeze", "search", "--note", "x", *service.flags(tmp_path)])

    assert code == 1
    assert capsys.readouterr().err == "PERMISSION_DENIED: needs admin\n"


def adjusted(folder: Path, *argv: str) -> AdjustBudgetRequest:
    """The request that a command makes."""
    with answering(ADJUSTED) as service:
        assert main(["budget", "adjust", "search", "--note", "invoice", *argv, *service.flags(folder)]) == 0
    (request,) = service.requests
    assert isinstance(request, AdjustBudgetRequest)
    return request


def test_an_adjustment_is_asked_for_as_it_is_written(tmp_path: Path) -> None:
    argv = "--amount-usd -1.25 --day 2026-11-20 --request-id invoice-2026-11-20"

    assert adjusted(tmp_path, *argv.split()) == AdjustBudgetRequest(
        team="search",
        amount=money_of(-1_250_000_000),
        note="invoice",
        request_id="invoice-2026-11-20",
        day="2026-11-20",
    )


def test_an_adjustment_without_a_name_gets_a_fresh_one_and_is_of_today(tmp_path: Path) -> None:
    one, other = (adjusted(tmp_path, "--amount-usd", "1") for _ in range(2))

    assert uuid.UUID(one.request_id) != uuid.UUID(other.request_id)
    assert one.day == ""


@pytest.mark.parametrize(
    ("written", "nanos"),
    [("1", 10**9), ("0.000000001", 1), ("-0.1", -(10**8)), ("1e3", 10**12), ("+2.50", 2_500_000_000)],
)
def test_an_amount_is_exact(written: str, nanos: int, tmp_path: Path) -> None:
    assert nanos_of(adjusted(tmp_path, f"--amount-usd={written}").amount) == nanos


@pytest.mark.parametrize("written", ["0", "0.0000000001", "ten", "nan", "inf", "1e99999999", "", "$1"])
def test_what_is_no_amount_is_a_wrong_command_line(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["budget", "adjust", "search", "--note", "x", f"--amount-usd={written}"])

    assert ended.value.code == 2
    assert "is no amount such as 1.25" in capsys.readouterr().err


def test_the_budget_after_an_adjustment_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adjusted(tmp_path, "--amount-usd", "-1.25")

    assert capsys.readouterr().out.splitlines() == [
        "BUDGET   LIMIT   SPENT   HELD  AVAILABLE  SPENT █ HELD ▒ LEFT ░  RESETS AT",
        "search  $25.00  -$1.25  $0.00     $26.25  ░░░░░░░░░░░░░░░░░░░░   2026-11-22 00:00 UTC",
    ]


def test_an_adjustment_whose_answer_is_lost_can_be_repeated_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(ADJUSTED, refusal=(grpc.StatusCode.UNAVAILABLE, "the books cannot be written")) as service:
        code = main(["budget", "adjust", "search", "--note", "x", "--amount-usd", "1", *service.flags(tmp_path)])
    (request,) = service.requests

    assert isinstance(request, AdjustBudgetRequest)
    assert code == 1
    assert capsys.readouterr().err.endswith(f"without making it twice: --request-id {request.request_id}\n")


@pytest.mark.parametrize(
    "argv",
    [["teams", "freeze", "search"], ["budget", "adjust", "search", "--amount-usd", "1"]],
    ids=["teams freeze", "budget adjust"],
)
def test_an_operator_says_why(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)

    assert ended.value.code == 2
    assert "--note" in capsys.readouterr().err

"""`cohort usage reconcile`: the books' days beside those of a file."""

import itertools
from pathlib import Path

import grpc
import pytest

from cohort.v1.get_usage_pb2 import GetUsageRequest, UnresolvedAttempts, UsageDimension, UsageRow
from service.cli import main
from service.money import money_of
from tests.unit.cli.answering import answering
from tests.unit.cli.usage_answers import CHAT_ROW, EMBED_ROW, REFUSED_ROW, at, figures, usage

HEADINGS = "day,model,unit,units,cost_usd\n"
CHAT_LINES = (
    "2026-11-21,command-a-03-2025,input_tokens,1000000,2.50\n2026-11-21,command-a-03-2025,output_tokens,1000000,10.00\n"
)
EMBED_LINE = "2026-11-21,embed-v4.0,input_tokens,16666667,2.00\n"
NOTHING = usage(total=figures(0))
BOOKS = usage(CHAT_ROW, EMBED_ROW, REFUSED_ROW, total=figures(14_500_000_000))


def export(folder: Path, *lines: str) -> str:
    (folder / "invoice.csv").write_text("".join((HEADINGS, *lines)))
    return str(folder / "invoice.csv")


def test_books_that_agree_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = export(tmp_path, CHAT_LINES, EMBED_LINE)
    with answering(BOOKS) as service:
        code = main(["usage", "reconcile", file, *service.flags(tmp_path)])

    assert code == 0
    assert capsys.readouterr().out == f"{file} and the books agree; models and days compared: 2\n"


def test_every_day_of_the_invoice_is_asked_for_in_its_zone(tmp_path: Path) -> None:
    file = export(tmp_path, "2026-03-30,m,input_tokens,1,1\n", "2026-03-28,m,input_tokens,1,1\n")
    with answering(NOTHING) as service:
        main(["usage", "reconcile", file, "--team", "search", "--zone", "Europe/Berlin", *service.flags(tmp_path)])

    edges = ["2026-03-27T23:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z", "2026-03-30T22:00Z"]
    assert service.requests == [
        GetUsageRequest(
            team="search",
            start_time=at(start),
            end_time=at(end),
            group_by=[UsageDimension.USAGE_DIMENSION_MODEL],
            page_size=10_000,
        )
        for start, end in itertools.pairwise(edges)
    ]


def test_all_teams_are_compared_where_they_share_an_invoice(tmp_path: Path) -> None:
    with answering(BOOKS) as service:
        main(["usage", "reconcile", export(tmp_path, CHAT_LINES), "--all-teams", *service.flags(tmp_path)])

    (request,) = service.requests
    assert isinstance(request, GetUsageRequest)
    assert request.all_teams


def test_differences_and_what_is_unresolved_are_listed_and_end_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unresolved = UnresolvedAttempts(
        open=1, open_hold=money_of(10_000_000), forfeited=1, forfeited_hold=money_of(90_000_000)
    )
    row = UsageRow(model="embed-v4.0", figures=figures(1_950_000_000, input_tokens=16_250_000, unresolved=unresolved))
    file = export(tmp_path, EMBED_LINE, "2026-11-21,rerank-v3.5,search_units,3,0.006\n")
    with answering(usage(row, total=row.figures)) as service:
        code = main(["usage", "reconcile", file, *service.flags(tmp_path)])

    assert code == 1
    assert capsys.readouterr().out.splitlines() == [
        "DAY         MODEL        WHAT               BOOKS     INVOICE  INVOICE - BOOKS",
        "2026-11-21  embed-v4.0   cost               $1.95       $2.00            $0.05  perhaps the unresolved",
        "2026-11-21  embed-v4.0   input_tokens  16,250,000  16,666,667          416,667  perhaps the unresolved",
        "2026-11-21  rerank-v3.5  cost               $0.00      $0.006           $0.006",
        "2026-11-21  rerank-v3.5  search_units           0           3                3",
        "",
        "DAY         MODEL       UNRESOLVED  AT MOST",
        "2026-11-21  embed-v4.0           2    $0.10",
        "",
        "differences: 4",
    ]


def test_an_invoice_in_whole_cents_agrees_within_a_cent(tmp_path: Path) -> None:
    row = UsageRow(model="embed-v4.0", figures=figures(1_999_999_999, input_tokens=16_666_667))
    argv = ["usage", "reconcile", export(tmp_path, EMBED_LINE)]
    with answering(usage(row, total=row.figures)) as service:
        codes = [main([*argv, *more, *service.flags(tmp_path)]) for more in ([], ["--tolerance-usd", "0.01"])]

    assert codes == [1, 0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1: no column day, model, unit, units, cost_usd"),
        (HEADINGS.encode(), "no line of an invoice"),
        (f"{HEADINGS}2026-11-21,m,tokens,1,1\n".encode(), "line 2: unit is none of"),
        (b"\xff\xfe", "can't decode"),
        (None, "No such file"),
    ],
    ids=["empty", "only headings", "wrong line", "binary", "missing"],
)
def test_a_file_that_is_no_invoice_ends_with_2(
    content: bytes | None, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "invoice.csv"
    if content is not None:
        file.write_bytes(content)

    code = main(["usage", "reconcile", str(file)])
    error = capsys.readouterr().err

    assert code == 2
    assert error.startswith(f"{file}: ")
    assert problem in error


def test_a_refusal_is_told_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(NOTHING, refusal=(grpc.StatusCode.PERMISSION_DENIED, "needs admin")) as service:
        code = main(["usage", "reconcile", export(tmp_path, EMBED_LINE), *service.flags(tmp_path)])

    assert code == 1
    assert "needs admin" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--zone", "Mars/Phobos"], ["--tolerance-usd", "a cent"]], ids=" ".join)
def test_a_wrong_flag_is_a_wrong_command_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["usage", "reconcile", "invoice.csv", *argv])

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: cohort usage reconcile")

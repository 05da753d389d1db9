"""`cohort usage` and `cohort usage reconcile` against a running service; the sandbox keeps its own bill."""

import csv
import datetime
import io
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from google.protobuf import json_format

from cohort.v1.get_usage_pb2 import GetUsageResponse
from service.money import nanos_of, nanos_of_usd, usd_of
from tests.e2e.cohort_service import Cohort
from tests.e2e.requests import CHAT_MODEL, EMBED_MODEL, chat, embed, refused, rerank
from tests.e2e.test_operators import operate

HEADINGS = "day,model,unit,units,cost_usd\n"


async def calls(service: Cohort) -> int:
    """Makes four calls that cost something, and one that is refused; gives what they cost, in nano-USD."""
    stub, credentials = service.stub, service.credentials
    receipts = [
        (await stub.Chat(chat(), metadata=credentials)).receipt,
        (await stub.Chat(chat("Why is the sea salty?"), metadata=credentials)).receipt,
        (await stub.Embed(embed(), metadata=credentials)).receipt,
        (await stub.Rerank(rerank(), metadata=credentials)).receipt,
    ]
    await refused(stub.Chat(chat(model="gpt"), metadata=credentials))
    return sum(nanos_of(receipt.cost) for receipt in receipts)


def export(service: Cohort) -> Path:
    """The sandbox's own bill as an invoice export: a model's cost stands beside one of its units."""
    today = datetime.datetime.now(datetime.UTC).date()
    lines = [
        f"{today},{model},{unit},{count},{usd_of(0 if number else owed['cost_nanos'])}\n"
        for account in service.sandbox.state.bill.described()["keys"].values()
        for model, owed in account["models"].items()
        for number, (unit, count) in enumerate(owed["billed_units"].items())
    ]
    file = service.folder / "invoice.csv"
    file.write_text(HEADINGS + "".join(lines))
    return file


async def test_the_json_has_every_call_and_its_cost(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    cost_nanos = await calls(service)

    code = await operate(service, "usage", "--json", who="narrow")
    usage = json_format.Parse(capsys.readouterr().out, GetUsageResponse())

    assert code == 0
    assert nanos_of(usage.total.cost) == cost_nanos
    assert usage.total.attempts == 4
    assert dict(usage.total.failures_by_reason) == {"MODEL_NOT_ALLOWED": 1}
    assert {row.model for row in usage.rows} >= {CHAT_MODEL, EMBED_MODEL, "rerank-v3.5"}
    (budget,) = usage.budgets
    assert nanos_of(budget.spent) == cost_nanos
    assert usage.terms.team == "demo"


async def test_the_csv_adds_up_to_the_total(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    cost_nanos = await calls(service)

    await operate(service, "usage", "--csv", "--group-by", "endpoint,access-key", who="narrow")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert {row["endpoint"] for row in rows} >= {"chat", "embed", "rerank"}
    assert sum(nanos_of_usd(Decimal(row["cost_usd"])) for row in rows) == cost_nanos


async def test_the_text_shows_the_models_the_budget_and_the_prices(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    cost_nanos = await calls(service)

    await operate(service, "usage", who="narrow")
    text = capsys.readouterr().out

    assert "\ncommand-a-03-2025 " in text
    assert "Failed: 1 MODEL_NOT_ALLOWED" in text
    assert f"  ${usd_of(cost_nanos)}  " in text
    assert "$2.50 per 1,000,000 input_tokens" in text


async def test_a_window_may_be_written_in_the_budgets_time(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    cost_nanos = await calls(service)
    today = datetime.datetime.now(datetime.UTC).date()
    tomorrow = today + datetime.timedelta(days=1)

    await operate(service, "usage", "--json", "--from", f"{today}", "--to", f"{tomorrow}", who="narrow")
    now = json_format.Parse(capsys.readouterr().out, GetUsageResponse())
    await operate(service, "usage", "--json", "--from", "2020-01-01", "--to", "2020-01-02", who="narrow")
    then = json_format.Parse(capsys.readouterr().out, GetUsageResponse())

    assert nanos_of(now.total.cost) == cost_nanos
    assert then.total.calls == 0


@pytest.mark.parametrize("argv", [("--team", "other"), ("--all-teams",)], ids=" ".join)
async def test_other_teams_usage_needs_the_scope_admin(
    argv: tuple[str, ...], service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await operate(service, "usage", *argv, who="narrow")

    assert code == 1
    assert capsys.readouterr().err.startswith("SCOPE_MISSING (PERMISSION_DENIED)")


async def test_all_teams_are_an_admins(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    cost_nanos = await calls(service)

    code = await operate(service, "usage", "--all-teams", "--group-by", "team", "--json")
    usage = orjson.loads(capsys.readouterr().out)

    assert code == 0
    assert [row["team"] for row in usage["rows"]] == ["demo"]
    assert int(usage["total"]["cost"].get("nanos", 0)) == cost_nanos


async def test_the_books_agree_with_coheres_own_bill(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    await calls(service)

    code = await operate(service, "usage", "reconcile", str(export(service)), who="narrow")

    assert capsys.readouterr().out.endswith("and the books agree; models and days compared: 3\n")
    assert code == 0


async def test_an_attempt_whose_bill_nobody_knew_explains_the_difference(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    await calls(service)
    service.fault(disconnect=True)
    await refused(service.stub.Chat(chat(), metadata=service.credentials))

    code = await operate(service, "usage", "reconcile", str(export(service)), who="narrow")
    out = capsys.readouterr().out

    assert code == 1
    assert [line.split()[2] for line in out.splitlines() if line.endswith("perhaps the unresolved")] == [
        "cost",
        "input_tokens",
        "output_tokens",
    ]
    assert "UNRESOLVED" in out
    assert out.endswith("differences: 3\n")

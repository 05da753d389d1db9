"""Operators at work on a running service: by the command line, and by a changed config."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from service.cli import main
from tests.e2e.cohort_service import PRICES, Cohort, cohort
from tests.e2e.requests import chat, refused


async def operate(service: Cohort, *argv: str, who: str = "admin") -> int:
    """Runs `cohort ARGV` as one of the fixture's access keys."""
    file = service.folder / f"{who}.access_key"
    file.write_text(service.access_keys[who])
    return await asyncio.to_thread(main, [*argv, "--target", service.target, "--access-key-file", str(file)])


async def test_a_frozen_team_is_refused_until_it_is_let_go(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    frozen = await operate(service, "teams", "freeze", "demo", "--note", "runaway job")
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    let_go = await operate(service, "teams", "unfreeze", "demo", "--note", "mended")
    answer = await service.stub.Chat(chat(), metadata=service.credentials)

    first, second = capsys.readouterr().out.splitlines()
    assert (frozen, let_go) == (0, 0)
    assert first.startswith("Team demo is frozen since 20")
    assert second == "Team demo is not frozen."
    assert refusal.reason == "TEAM_FROZEN"
    assert answer.receipt.call_id


async def test_an_adjustment_is_made_once_however_often_it_is_sent(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["budget", "adjust", "demo", "--amount-usd", "1.25", "--note", "invoice", "--request-id", "invoice-1"]
    codes = [await operate(service, *argv), await operate(service, *argv)]
    (_, once, _, again) = capsys.readouterr().out.splitlines()

    assert codes == [0, 0]
    assert once == again
    assert once.split()[:5] == ["demo", "$1000.00", "$1.25", "$0.00", "$998.75"]


async def test_what_was_never_spent_is_not_given_back(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    code = await operate(service, "budget", "adjust", "demo", "--amount-usd", "-0.01", "--note", "x")

    assert code == 1
    assert capsys.readouterr().err.startswith("ADJUSTMENT_BELOW_ZERO (FAILED_PRECONDITION)")


@pytest.mark.parametrize(
    "argv",
    [
        ("teams", "freeze", "demo", "--note", "x"),
        ("budget", "adjust", "demo", "--amount-usd", "1", "--note", "x"),
    ],
    ids=" ".join,
)
async def test_operators_need_the_scope_admin(
    argv: tuple[str, ...], service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await operate(service, *argv, who="narrow")

    assert code == 1
    assert capsys.readouterr().err.startswith("SCOPE_MISSING (PERMISSION_DENIED)")


async def test_an_unknown_team_is_told(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    code = await operate(service, "teams", "freeze", "nobody", "--note", "x")

    assert code == 1
    assert capsys.readouterr().err.startswith("TEAM_UNKNOWN (")


# A changed config


def rewrite(service: Cohort, before: str, after: str) -> bool:
    """Changes the config; True if it is in force then."""
    text = service.config_file.read_text()
    assert before in text
    service.config_file.write_text(text.replace(before, after))
    return service.service.reloader.reload()


def command_a(input_usd: int, output_usd: int) -> str:
    """Prices with other ones of command-a-03-2025, which costs 2.50 and 10.00."""
    return (
        f'{PRICES}[models."command-a-03-2025"]\n'
        f"usd_per_million_input_tokens = {input_usd}\nusd_per_million_output_tokens = {output_usd}\n"
    )


async def test_a_lower_limit_holds_for_the_next_call(service: Cohort) -> None:
    await service.stub.Chat(chat(), metadata=service.credentials)

    assert rewrite(service, "daily_budget_usd = 1000", "daily_budget_usd = 0.000001")
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    assert refusal.reason == "HOLD_EXCEEDS_LIMIT"
    assert refusal.info.metadata["limit_usd"] == "0.000001"


async def test_new_prices_are_in_force_for_the_next_call(service: Cohort) -> None:
    before = await service.stub.Chat(chat(), metadata=service.credentials)
    (service.folder / "prices.toml").write_text(command_a(5, 20))

    assert service.service.reloader.reload()
    after = await service.stub.Chat(chat(), metadata=service.credentials)
    assert after.receipt.cost.nanos == 2 * before.receipt.cost.nanos


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        (
            command_a(250, 1000),
            "by more than 5 times",
        ),
        ("not toml", "not TOML"),
    ],
    ids=["a hundred times as much", "not TOML"],
)
async def test_prices_that_cannot_be_meant_change_nothing(service: Cohort, prices: str, problem: str) -> None:
    before = service.service.reloader.snapshot
    (service.folder / "prices.toml").write_text(prices)

    assert not service.service.reloader.reload()
    assert service.service.reloader.snapshot is before
    (line,) = service.lines("reload refused")
    assert problem in str(line["problems"])
    assert (await service.stub.Chat(chat(), metadata=service.credentials)).receipt.call_id


async def test_prices_that_moved_far_while_nobody_served_do_not_start(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        await service.stub.Chat(chat(), metadata=service.credentials)
    far = PRICES.replace("2.50", "25.00").replace("10.00", "100.00")

    with pytest.raises(Exception, match="by more than 5 times"):
        async with cohort(tmp_path, prices=far):
            pass


@pytest.mark.parametrize(
    ("before", "after", "section"),
    [
        ("sqlite:cohort.db", "sqlite:other.db", "books.database"),
        ("[books]", "[books]\nstrict = true", "books.strict"),
        ("[audit]", '[audit]\ncheckpoint_file = "other.jsonl"', "audit"),
    ],
    ids=["database", "strict", "audit"],
)
async def test_what_the_books_stand_on_needs_a_restart(service: Cohort, before: str, after: str, section: str) -> None:
    assert not rewrite(service, before, after)
    (line,) = service.lines("reload refused")
    assert line["problems"] == [f"{section}: a change needs a restart"]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
async def test_a_budget_has_the_days_of_its_zone(tmp_path: Path, zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with cohort(tmp_path, zone=zone, budget_usd="12.345678901") as service:
        await operate(service, "budget", "adjust", "demo", "--amount-usd", "0.000000001", "--note", "x")
        (_, row) = capsys.readouterr().out.splitlines()

    assert row.endswith(f" 00:00 {zone}")
    assert Decimal(row.split()[1].removeprefix("$")) == Decimal("12.345678901")

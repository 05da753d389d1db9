"""`cohort check --keys` against a sandbox: what it shows of good and of bad keys, and that it shows none of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from clients.sandbox import Sandbox
from clients.sandbox.keys import Key
from service.cli import main
from tests.identity.canaries import canary, hits
from tests.unit.cli import configs

GOOD = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9n"


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, str]]:
    sandbox = Sandbox()
    async with sandbox.serve() as url:
        yield sandbox, url


def write_config(folder: Path, url: str, more: str = "") -> Path:
    """A config whose Cohere is the sandbox."""
    return configs.write_config(folder, team=f'base_url = "{url}"', more=f"{more}[cohere]\nsandbox = true\n")


def team(folder: Path, name: str, value: str | None, url: str, models: str = '["command-a-03-2025"]') -> str:
    if value is not None:
        (folder / f"{name}.key").write_text(value)
    return (
        f'[teams.{name}]\ncohere_key = "file:{name}.key"\nbase_url = "{url}"\nmodels = {models}\n'
        "max_tokens_per_call = 1\ndaily_budget_usd = 25\n"
    )


def databases(folder: Path) -> list[Path]:
    return list(folder.glob("*.db*"))


async def checked(file: Path, *more: str) -> int:
    return await asyncio.to_thread(main, ["check", "--config", str(file), "--keys", *more])


async def test_good_keys_are_shown_with_whose_they_are_and_end_with_0(
    tmp_path: Path, sandbox: tuple[Sandbox, str], capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox[0].state.keys.add([Key("ours", GOOD, "organisation-7")])
    file = write_config(tmp_path, sandbox[1])
    (tmp_path / "demo.key").write_text(GOOD)

    assert await checked(file) == 0
    out, err = capsys.readouterr()
    heading, first, *_ = out.splitlines()
    assert heading.split()[:5] == ["TEAM", "SOURCE", "PRESENT", "VALID", "ORGANISATION"]
    assert first.split()[2:5] == ["yes", "yes", "organisation-7"]
    assert "production" in first
    assert err == ""


async def test_every_cause_is_shown_with_what_to_do_and_ends_with_1(
    tmp_path: Path, sandbox: tuple[Sandbox, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = sandbox[1]
    sandbox[0].state.keys.add([Key("ours", GOOD, "ours")])
    values = {
        "gone": None,
        "quoted": f'"{GOOD}"',
        "revoked": GOOD[::-1],
        "cut": GOOD[:-1],
        "other": f"sk-{GOOD}",
        "trial": "sandbox-trial",
    }
    more = "".join(team(tmp_path, name, value, url) for name, value in values.items())
    more += team(tmp_path, "away", GOOD, "http://127.0.0.1:1")
    file = write_config(tmp_path, url, more)
    (tmp_path / "demo.key").write_text(GOOD)

    assert await checked(file, "--json") == 1
    out, err = capsys.readouterr()
    found = {line["team"]: line for line in map(orjson.loads, out.splitlines())}
    assert {name: (line["present"], line["state"], line["cause"]) for name, line in found.items()} == {
        "away": (True, "unknown", "not_asked"),
        "cut": (True, "refused", "mistyped"),
        "demo": (True, "good", None),
        "gone": (False, "refused", "not_set"),
        "other": (True, "refused", "mistyped"),
        "quoted": (True, "refused", "mistyped"),
        "revoked": (True, "refused", "rejected"),
        "trial": (True, "good", None),
    }
    assert all(line["advice"] for line in found.values() if line["state"] != "good")
    assert (found["trial"]["trial"], found["demo"]["shared_with"]) == (True, ["away"])
    assert "teams.demo: the key of away too" in err
    assert await checked(file) == 1
    shown = capsys.readouterr().out
    assert all(f"no: {cause}" in shown for cause in ("not set", "mistyped", "rejected"))


async def test_models_that_a_key_may_not_use_are_a_warning(
    tmp_path: Path, sandbox: tuple[Sandbox, str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(
        tmp_path,
        sandbox[1],
        team(tmp_path, "far", "sandbox-trial", sandbox[1], models='["command-a-03-2025", "command-of-mars"]'),
    )
    (tmp_path / "demo.key").write_text("sandbox-production")

    assert await checked(file) == 0
    assert "Cohere does not list command-of-mars for this key" in capsys.readouterr().err


async def test_no_character_of_a_key_is_shown_whatever_is_wrong_with_it(
    tmp_path: Path, sandbox: tuple[Sandbox, str], capfd: pytest.CaptureFixture[str]
) -> None:
    secret = canary()
    sandbox[0].state.keys.add([Key("ours", secret, f"of {secret}")])
    around = ("{}", "sk-{}", "'{}'", "Bearer {}", "{}x", "CO_API_KEY={}", "{} ", "\n{}", "env:{}", "{{{}}}")
    values = {f"t{place}": each.format(secret) for place, each in enumerate(around)}
    more = "".join(team(tmp_path, name, value, sandbox[1]) for name, value in values.items())
    file = write_config(tmp_path, sandbox[1], more)
    (tmp_path / "demo.key").write_text(secret)
    for words in ((), ("--json",)):
        assert await checked(file, *words) == 1
    written = capfd.readouterr()

    sinks = {"stdout": written.out.encode(), "stderr": written.err.encode()}
    assert hits({"key": secret}, sinks) == []


async def test_a_key_that_cohort_holds_cannot_be_read_before_there_is_a_database(
    tmp_path: Path, sandbox: tuple[Sandbox, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kek").write_text("ab" * 32)
    held = team(tmp_path, "kept", None, sandbox[1]).replace("file:kept.key", "held:")
    file = write_config(tmp_path, sandbox[1], f'{held}[secrets.held]\nkeks = {{ 1 = "file:kek" }}\n')
    (tmp_path / "demo.key").write_text("sandbox-production")

    assert await checked(file, "--json") == 1
    found = {line["team"]: line for line in map(orjson.loads, capsys.readouterr().out.splitlines())}
    assert (found["kept"]["source"], found["kept"]["state"]) == ("held:", "unknown")
    assert found["kept"]["message"] == "held: there is no database yet"
    assert databases(tmp_path) == []


def test_json_alone_is_no_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(configs.write_config(tmp_path)), "--json"]) == 2
    assert "--json goes with --keys" in capsys.readouterr().err

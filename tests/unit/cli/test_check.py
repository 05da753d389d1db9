import sys
from pathlib import Path

import pytest
import trustme

from service import config
from service.cli import main
from service.cli.check import checked, teams_table, warnings_of
from service.config import ConfigError
from tests.unit.cli.configs import write_config


def team(name: str, cohere_key: str) -> str:
    return (
        f'[teams.{name}]\ncohere_key = "{cohere_key}"\nmodels = ["rerank-v3.5"]\n'
        "max_tokens_per_call = 1\ndaily_budget_usd = 25\n"
    )


def warnings(file: Path, environ: dict[str, str] | None = None) -> list[str]:
    return warnings_of(checked(config.load(file, environ or {})))


def test_a_config_in_order_has_no_warnings(tmp_path: Path) -> None:
    assert warnings(write_config(tmp_path)) == []


def test_a_missing_cohere_key_is_a_warning_for_its_team(tmp_path: Path) -> None:
    file = write_config(tmp_path, more=team("search", "env:SEARCH_KEY"))

    assert warnings(file) == [
        "teams.search.cohere_key: env:SEARCH_KEY: the environment variable is not set: every call of the team will fail"
    ]


@pytest.mark.parametrize(
    ("cohere_key", "environ"),
    [("file:demo.key", {}), ("env:OTHER", {"OTHER": "co-demo"})],
    ids=["by the same reference", "by another reference"],
)
def test_two_teams_with_one_cohere_key_are_a_warning(cohere_key: str, environ: dict[str, str], tmp_path: Path) -> None:
    file = write_config(tmp_path, more=team("search", cohere_key))

    (warning,) = warnings(file, environ)

    assert warning.startswith("teams demo, search: one Cohere key for all of them")
    assert "co-demo" not in warning


def test_two_teams_that_name_one_missing_cohere_key_are_a_warning_too(tmp_path: Path) -> None:
    file = write_config(tmp_path, more=team("a", "env:GONE") + team("b", "env:GONE"))

    assert [warning.partition(":")[0] for warning in warnings(file)] == [
        "teams.a.cohere_key",
        "teams.b.cohere_key",
        "teams a, b",
    ]


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://c@db.internal/c", True),
        ("postgresql://c@db.internal/c?sslmode=require", True),
        ("postgresql://c@db.internal/c?sslmode=verify-full", False),
        ("postgresql://c@127.0.0.1/c", False),
        ("postgresql://c@/c?host=/run/postgresql", False),
        ("sqlite:books.db", False),
    ],
)
def test_a_database_that_anyone_could_pretend_to_be_is_a_warning(url: str, warned: bool, tmp_path: Path) -> None:  # noqa: FBT001
    file = write_config(tmp_path)
    file.write_text(file.read_text().replace("sqlite:cohort.db", url))

    assert [warning.partition(":")[0] for warning in warnings(file)] == (["books.database"] if warned else [])


def test_a_model_without_a_price_is_a_warning_that_says_how_to_add_one(tmp_path: Path) -> None:
    file = write_config(tmp_path, more=team("search", "env:GONE").replace("rerank-v3.5", "command-z"))

    unpriced, _ = warnings(file)

    assert unpriced.startswith("teams.search.models: every call of command-z will be refused: ")
    assert '[models."command-z"]' in unpriced


def test_a_price_of_ones_own_is_a_price(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    text = file.read_text().replace("command-a-03-2025", "command-a-reasoning-08-2025")
    file.write_text(text.replace("[books]", '[books]\nprices = "prices.toml"'))
    (tmp_path / "prices.toml").write_text(
        'version = "ours"\n[models."command-a-reasoning-08-2025"]\n'
        "usd_per_million_input_tokens = 2.5\nusd_per_million_output_tokens = 10\n"
    )

    assert warnings(file) == []


def test_prices_that_cannot_be_used_would_not_start(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    file.write_text(file.read_text().replace("[books]", '[books]\nprices = "prices.toml"'))

    with pytest.raises(ConfigError, match=r"^books\.prices: .*prices\.toml: No such file"):
        checked(config.load(file, {}))


def test_a_config_that_lets_no_access_key_in_is_a_warning(tmp_path: Path) -> None:
    assert warnings(write_config(tmp_path, peppers="")) == [
        "peppers: none, so there can be no access keys and no service accounts"
    ]


@pytest.mark.parametrize(("size", "is_enough"), [(0, False), (31, False), (32, True)])
def test_a_pepper_that_could_be_guessed_would_not_start(
    tmp_path: Path,
    size: int,
    is_enough: bool,  # noqa: FBT001
) -> None:
    file = write_config(tmp_path)
    (tmp_path / "pepper").write_text("p" * size + "\n")
    if is_enough:
        checked(config.load(file, {}))
        return
    with pytest.raises(ConfigError) as refused:
        checked(config.load(file, {}))

    assert [problem.partition(": ")[0] for problem in refused.value.problems] == ["peppers.1"]
    if size:
        assert "make one with `openssl rand -hex 32`" in refused.value.problems[0]
    assert "ppp" not in refused.value.problems[0]


def test_the_table_names_what_each_team_may_use_and_never_a_key(tmp_path: Path) -> None:
    team_lines = 'endpoints = ["embed"]\nmax_input_tokens_per_call = 900\nbase_url = "https://vault.example.com"'
    file = write_config(tmp_path, team=team_lines, more='[cohere]\nvaults = ["https://vault.example.com"]')

    table = teams_table(checked(config.load(file, {}))).splitlines()

    assert table == [
        "TEAM  ENDPOINTS  MODELS             MAX TOKENS  MAX INPUT TOKENS  DAILY BUDGET  COHERE KEY",
        "demo  embed      command-a-03-2025  500         900               $25.00        file:demo.key",
        "                 embed-v4.0                                       UTC           https://vault.example.com",
    ]


def test_peppers_keys_passwords_and_certificates_are_read_and_told_together(tmp_path: Path) -> None:
    tls = '[server.tls]\ncertificate_file = "gone.crt"\nprivate_key_file = "gone.key"\n'
    file = write_config(tmp_path, peppers='1 = "env:GONE"', more=tls)
    text = file.read_text().replace("sqlite:cohort.db", "postgresql://c@db/c")
    file.write_text(text.replace("[books]", '[books]\ndatabase_password = "env:NOT_SET"'))
    (tmp_path / "audit-hmac.key").write_text("short")
    file.write_text(file.read_text().replace("[books]", '[books]\nprices = "gone.toml"'))

    with pytest.raises(ConfigError) as refused:
        checked(config.load(file, {}))

    assert refused.value.problems == [
        "peppers.1: env:GONE: the environment variable is not set",
        f"books.prices: {tmp_path}/gone.toml: No such file or directory",
        "audit.hmac_key: shorter than 32 characters, so it could be guessed",
        "books.database_password: env:NOT_SET: the environment variable is not set",
        f"server.tls.certificate_file: {tmp_path}/gone.crt: No such file or directory",
        f"server.tls.private_key_file: {tmp_path}/gone.key: No such file or directory",
    ]


def tls_config(folder: Path, *, certificate: bytes, key: bytes) -> Path:
    (folder / "server.crt").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    tls = '[server.tls]\ncertificate_file = "server.crt"\nprivate_key_file = "server.key"\n'
    return write_config(folder, more=tls)


def test_a_certificate_with_its_own_key_is_in_order(tmp_path: Path) -> None:
    pair = trustme.CA().issue_cert("localhost")

    checked(
        config.load(tls_config(tmp_path, certificate=pair.cert_chain_pems[0].bytes(), key=pair.private_key_pem.bytes()))
    )


def test_a_certificate_with_the_key_of_another_would_not_serve(tmp_path: Path) -> None:
    ca = trustme.CA()
    one, other = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    file = tls_config(tmp_path, certificate=one.cert_chain_pems[0].bytes(), key=other.private_key_pem.bytes())

    with pytest.raises(ConfigError, match="no usable pair of certificate and private key"):
        checked(config.load(file))


def test_tracing_without_its_extra_would_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "service.telemetry.tracing", None)
    file = write_config(tmp_path, more="[tracing]\nenabled = true\n")

    with pytest.raises(ConfigError, match=r"install cohort\[otel\]"):
        checked(config.load(file))


def test_the_command_ends_with_0_although_it_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path, peppers="")

    code = main(["check", "--config", str(file)])
    captured = capsys.readouterr()

    assert code == 0
    assert captured.out.startswith("TEAM ")
    assert captured.out.endswith(f"{file}: the service would start with it (1 warning)\n")
    assert captured.err.startswith("warning: peppers: none")


def test_the_command_ends_with_2_and_every_problem_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path, more='[teams.other]\ncohere_key = "literal"\nbudget = 5\n')

    code = main(["check", "--config", str(file)])
    captured = capsys.readouterr()

    assert code == 2
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 5
    assert "Traceback" not in captured.err

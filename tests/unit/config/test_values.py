"""What single settings take and refuse."""

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter, ValidationError

from service import config
from service.config.values import Amount, BaseUrl, DatabaseUrl, TimeZone

AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Amount)
BASE_URL: TypeAdapter[str] = TypeAdapter(BaseUrl)
DATABASE: TypeAdapter[str] = TypeAdapter(DatabaseUrl)
TIME_ZONE: TypeAdapter[str] = TypeAdapter(TimeZone)

MINIMAL = (Path(__file__).parent / "fixtures" / "working_minimal.toml").read_text()


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("25", "25"),
        ("25.00", "25.00"),
        ("1_000_000", "1000000"),
        ("0.000000001", "0.000000001"),
        ("999_999.999999999", "999999.999999999"),
        ("1e3", "1000"),
        ("0.1", "0.1"),
    ],
)
def test_an_amount_is_read_as_it_is_written(written: str, amount: str, tmp_path: Path) -> None:
    file = tmp_path / "cohort.toml"
    file.write_text(MINIMAL.replace("daily_budget_usd = 25", f"daily_budget_usd = {written}"))

    assert config.load(file, {}).config.teams["demo"].daily_budget_usd == Decimal(amount)


@pytest.mark.parametrize("value", [0.1, "25.00", True, None])
def test_what_is_no_written_number_is_no_amount(value: object) -> None:
    with pytest.raises(ValidationError, match="an amount is US dollars"):
        AMOUNT.validate_python(value)


@pytest.mark.parametrize("user", [":@", "a@", ":b@", "a:b@"])
def test_a_base_url_has_no_credentials_be_they_empty(user: str) -> None:
    with pytest.raises(ValidationError, match="without credentials"):
        BASE_URL.validate_python(f"https://{user}api.cohere.com")


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_time_zone_has_a_name_that_every_machine_knows(name: str) -> None:
    assert ZoneInfo(TIME_ZONE.validate_python(name)).key == name


@pytest.mark.parametrize(
    "name",
    ["", "CEST", "utc", "Europe", "Europe/berlin", "localtime", "right/UTC", "../UTC", "/etc/localtime", "+01:00"],
)
def test_any_other_name_is_no_time_zone(name: str) -> None:
    with pytest.raises(ValidationError, match="a time zone has an IANA name"):
        TIME_ZONE.validate_python(name)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:cohort.db",
        "sqlite:/var/lib/cohort/cohort.db",
        "sqlite:with space.db",
        "postgresql://cohort@db.internal:5432/cohort",
        "postgresql://cohort@db.internal/cohort",
        "postgresql://cohort@[::1]:5432/cohort?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://cohort@/cohort?host=/run/postgresql&port=5433",
    ],
)
def test_a_database_is_a_file_or_a_server(url: str) -> None:
    assert DATABASE.validate_python(url) == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "a database is"),
        ("cohort.db", "a database is"),
        ("sqlite:", "the path of a file"),
        ("sqlite:a\0b", "control characters"),
        ("mysql://cohort@db/cohort", "a database is"),
        ("postgres://cohort@db/cohort", "a database is"),
        ("postgresql://db.internal:5432/cohort", "a database is"),
        ("postgresql://cohort@/cohort", "a database is"),
        ("postgresql://cohort@db.internal", "a database is"),
        ("postgresql://cohort@db.internal/", "a database is"),
        ("postgresql://cohort@db.internal/a/b", "a database is"),
        ("postgresql://cohort@db.internal/cohort#x", "a database is"),
        ("postgresql://cohort@db.internal:port/cohort", "not a URL"),
        ("postgresql://cohort:secret-9@db.int\N{ADDRESSED TO THE SUBJECT}rnal/cohort", "not a URL"),
        ("postgresql://cohort:secret-7@db.internal/cohort", "a password is never written down"),
        ("postgresql://cohort:@db.internal/cohort", "a password is never written down"),
        ("postgresql://cohort@db.internal/cohort?password=secret-8", "a password is never written down"),
        ("postgresql://cohort@db.internal/cohort?options=-c%20x", "of the options of a database URL there are host"),
    ],
)
def test_any_other_url_is_refused_without_being_repeated(url: str, problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DATABASE.validate_python(url)

    (finding,) = refused.value.errors()
    assert problem in finding["msg"]
    assert "secret-" not in finding["msg"]


def test_a_database_file_lies_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cohort.toml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)

    assert config.load(Path("cohort.toml"), {}).database_url() == f"sqlite:{tmp_path}/cohort.db"


def test_a_server_is_named_as_the_config_names_it(tmp_path: Path) -> None:
    url = "postgresql://cohort@db.internal:5432/cohort"
    books = f'[books]\ndatabase = "{url}"\ndatabase_password = "env:PASSWORD"\n'
    (tmp_path / "cohort.toml").write_text(books + MINIMAL)
    loaded = config.load(tmp_path / "cohort.toml", {"PASSWORD": "opensesame"})

    assert (loaded.database_url(), loaded.database_password()) == (url, "opensesame")


def test_a_password_that_is_not_there_is_a_problem_of_its_setting(tmp_path: Path) -> None:
    books = '[books]\ndatabase = "postgresql://c@db/c"\ndatabase_password = "env:GONE"\n'
    (tmp_path / "cohort.toml").write_text(books + MINIMAL)

    with pytest.raises(config.ConfigError, match=r"^books\.database_password: env:GONE: "):
        config.load(tmp_path / "cohort.toml", {}).database_password()


def test_a_config_needs_no_password(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text(MINIMAL)

    assert config.load(tmp_path / "cohort.toml", {}).database_password() is None

import datetime
from pathlib import Path

import pytest

from service import config
from service.cli import main
from service.cli.access_key import CreatedKey, created
from service.config import ConfigError
from service.identity.access_keys import AccessKeyRefused
from service.identity.principal import Principal
from service.snapshot import snapshot_of
from tests.unit.cli.configs import write_config

NOW = datetime.datetime(2030, 5, 1, 12, 30, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def make(file: Path, *, team: str = "demo", name: str = "laptop", scopes: tuple[str, ...] = ("chat",)) -> CreatedKey:
    return created(config.load(file), team=team, name=name, scopes=list(scopes), expires_at=NOW + DAY)


def principal(file: Path, access_key: str, now: datetime.datetime) -> Principal:
    return snapshot_of(config.load(file)).access_keys.principal_of(access_key, now.timestamp())


def test_a_created_key_is_accepted_once_its_lines_stand_in_the_config(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    made = make(file, scopes=("embed", "chat"))
    file.write_text(f"{file.read_text()}\n{made.toml()}\n")

    who = principal(file, made.access_key, NOW)

    assert (who.team, who.name, who.scopes) == ("demo", "laptop", frozenset({"chat", "embed"}))
    assert who.credential_id == made.record.id
    assert made.access_key.startswith(f"cohort_test_{made.record.id}_")


def test_a_created_key_is_refused_from_its_expiry_on(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    made = make(file)
    file.write_text(f"{file.read_text()}\n{made.toml()}\n")

    principal(file, made.access_key, NOW + DAY - datetime.timedelta(seconds=1))
    with pytest.raises(AccessKeyRefused, match="expired"):
        principal(file, made.access_key, NOW + DAY)


def test_a_created_key_is_hashed_under_the_newest_pepper(tmp_path: Path) -> None:
    (tmp_path / "pepper-10").write_text("newest")
    file = write_config(tmp_path, peppers='9 = "file:pepper"\n10 = "file:pepper-10"\n2 = "file:gone"')

    assert make(file).record.hash.startswith("10:")


def test_the_lines_for_the_config_do_not_hold_the_key(tmp_path: Path) -> None:
    made = make(write_config(tmp_path))

    secret = made.access_key.rpartition("_")[2]

    assert secret not in made.toml()
    assert made.access_key not in repr(made)


def test_every_reason_against_a_key_is_told_at_once(tmp_path: Path) -> None:
    file = write_config(tmp_path)

    with pytest.raises(ConfigError) as refused:
        make(file, team="nobody", name="A Laptop", scopes=("chat", "fly"))

    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["--team", "--name", "--scopes"]


@pytest.mark.parametrize(
    ("peppers", "problem"),
    [("", "peppers: the config names none"), ('1 = "file:gone"', "peppers.1: file:")],
    ids=["none", "unreadable"],
)
def test_without_a_pepper_no_key_is_made(peppers: str, problem: str, tmp_path: Path) -> None:
    file = write_config(tmp_path, peppers=peppers)

    with pytest.raises(ConfigError) as refused:
        make(file)

    assert refused.value.problems[0].startswith(problem)


def test_the_command_prints_the_key_once_and_lines_that_can_be_appended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)

    code = main(
        f"keys create --config {file} --team demo --name laptop --scopes chat,embed --expires-in-days 7".split()
    )
    out = capsys.readouterr().out
    file.write_text(f"{file.read_text()}\n{out}")
    access_key = next(word for word in out.split() if word.startswith("cohort_test_"))
    now = datetime.datetime.now(datetime.UTC)

    assert code == 0
    assert out.count(access_key) == 1
    assert principal(file, access_key, now + 6.9 * DAY).name == "laptop"
    with pytest.raises(AccessKeyRefused, match="expired"):
        principal(file, access_key, now + 7 * DAY)


@pytest.mark.parametrize("days", ["0", "366", "-1", "1.5", "many"])
def test_a_key_lives_from_1_to_365_days(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "create", "--team", "demo", "--name", "x", "--scopes", "chat", f"--expires-in-days={days}"])

    assert ended.value.code == 2
    assert "--expires-in-days" in capsys.readouterr().err


def test_the_command_tells_every_problem_on_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)

    code = main(f"keys create --config {file} --team nobody --name laptop --scopes fly".split())
    captured = capsys.readouterr()

    assert code == 2
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2

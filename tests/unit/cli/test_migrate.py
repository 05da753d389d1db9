"""`cohort migrate`: a database of this version's schema."""

import asyncio
import re
import stat
from pathlib import Path

import pytest

from service.cli import main
from tests.unit.cli.configs import write_config


def test_a_database_is_made_once_and_only_its_owner_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["migrate", "--config", str(write_config(tmp_path))]

    codes = [main(argv), main(argv)]
    first, second = capsys.readouterr().out.splitlines()

    assert codes == [0, 0]
    assert re.fullmatch(r"sqlite:cohort\.db has schema \d+ \([1-9]\d* steps? applied\)", first)
    assert second.endswith("(0 steps applied)")
    assert stat.S_IMODE((tmp_path / "cohort.db").stat().st_mode) == 0o600


def test_a_database_that_cannot_be_opened_is_told_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)
    file.write_text(file.read_text().replace("sqlite:cohort.db", "sqlite:gone/cohort.db"))

    code = main(["migrate", "--config", str(file)])

    assert code == 1
    assert capsys.readouterr().err.startswith("books.database: ")


def test_a_password_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    text = file.read_text().replace("sqlite:cohort.db", "postgresql://c@127.0.0.1:1/c")
    file.write_text(text.replace("[books]", '[books]\ndatabase_password = "file:gone"'))

    code = main(["migrate", "--config", str(file)])

    assert code == 2
    assert capsys.readouterr().err.startswith("books.database_password: ")


async def test_a_server_that_has_its_schema_is_left_alone(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)
    file.write_text(file.read_text().replace("sqlite:cohort.db", postgres_url))

    code = await asyncio.to_thread(main, ["migrate", "--config", str(file)])

    assert code == 0
    assert capsys.readouterr().out.endswith("(0 steps applied)\n")

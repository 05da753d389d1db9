"""`cohort audit verify`, `export` and `hash`: on a config and its database, and on what was exported."""

import asyncio
import hashlib
import hmac
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service import config
from service.audit_keys import signing_key_of
from service.cli import main
from service.storage.migrate import migrate
from service.storage.sqlite import SqliteDatabase, wall_clock_us
from tests.audit.made import HOUR_US, Made
from tests.unit.cli.configs import write_config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config, and books that were kept by it."""
    key = signing_key_of(config.load(write_config(tmp_path)))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    asyncio.run(make(tmp_path))
    return tmp_path


async def make(folder: Path) -> None:
    # Begun so long ago that their present is that of whoever verifies.
    shift_us = -26 * HOUR_US

    async def shift(by_us: int) -> None:
        nonlocal shift_us
        shift_us += by_us

    database = SqliteDatabase(folder / "cohort.db", clock_us=lambda: wall_clock_us() + shift_us)
    await database.open()
    try:
        await migrate(database)
        await Made(database, folder, shift, signing_key_of(config.load(folder / "cohort.toml"))).write()
        assert shift_us == 0
    finally:
        await database.close()


def audit(command: str, folder: Path, *more: str) -> int:
    return main(["audit", command, "--config", str(folder / "cohort.toml"), *more])


def sql(folder: Path, statement: str) -> None:
    async def run() -> None:
        database = SqliteDatabase(folder / "cohort.db")
        await database.open()
        await database.transact(lambda tx: tx.fetch(statement))
        await database.close()

    asyncio.run(run())


def test_books_that_are_intact_end_with_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = audit("verify", folder)
    *_, verdict = capsys.readouterr().out.splitlines()

    assert (code, verdict) == (0, "intact: nothing was changed, added or removed")


def test_what_is_broken_is_told_with_its_place_and_ends_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql(folder, "UPDATE call_hold SET charge_nanos = 1 WHERE call_id = '00000000000000000000000001'")
    code = audit("verify", folder)
    lines = capsys.readouterr().out.splitlines()

    assert code == 1
    assert lines[0].startswith("broken: hold 00000000000000000000000001/1: is settled at 1, but writer ")
    assert lines[-1] == "broken: 2 findings"  # the day's sum is another one now, too


def test_findings_and_verdict_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql(folder, "DELETE FROM checkpoint WHERE number = 2")
    code = audit("verify", folder, "--json")
    *findings, verdict = map(json.loads, capsys.readouterr().out.splitlines())

    assert code == 1
    assert {each["kind"] for each in findings} == {"checkpoint_missing"}
    assert {each["where"] for each in findings} == {"checkpoint 2"}
    assert (verdict["verdict"], verdict["found"]) == ("broken", {"checkpoint_missing": len(findings)})


def test_what_cannot_be_checked_is_told_and_ends_with_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "checkpoints.jsonl").unlink()
    code = audit("verify", folder)
    lines = capsys.readouterr().out.splitlines()

    assert code == 2
    assert lines[1:] == [
        "not checked: what was cut off together with its checkpoints: no outside file was given",
        "incomplete: nothing is wrong in what could be checked",
    ]


def test_who_verifies_needs_the_public_key_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "audit-signing.key").unlink()
    without = audit("verify", folder)
    with_it = audit("verify", folder, "--public-key", str(folder / "public.pem"))
    err = capsys.readouterr().err

    assert (without, with_it) == (2, 0)
    assert "warning: audit.signing_key: " in err


def test_a_config_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("verify", tmp_path) == 2
    assert "No such file" in capsys.readouterr().err


def test_a_database_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(tmp_path)

    assert audit("verify", tmp_path) == 2
    assert capsys.readouterr().err.startswith("books.database: ")


def test_a_key_that_is_none_ends_with_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = audit("verify", folder, "--public-key", str(folder / "cohort.toml"))

    assert (code, capsys.readouterr().err) == (2, f"--public-key: {folder / 'cohort.toml'}: no public key in PEM\n")


def exported(folder: Path, *more: str) -> Path:
    file = folder / "books.jsonl"
    assert audit("export", folder, "--output", str(file), *more) == 0
    return file


def offline(folder: Path, file: Path) -> int:
    """Without config and database."""
    key, outside = str(folder / "public.pem"), str(folder / "checkpoints.jsonl")
    return main(["audit", "verify", "--export", str(file), "--public-key", key, "--checkpoints", outside])


def test_an_export_is_verified_where_no_database_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = exported(folder)
    told = capsys.readouterr().err
    code = offline(folder, file)

    assert code == 0
    assert "record 67" in told
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_changed_export_ends_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = exported(folder)
    file.write_bytes(file.read_bytes().replace(b"indexer", b"indexes", 1))

    assert offline(folder, file) == 1
    assert "[record_changed]" in capsys.readouterr().out


def test_an_export_does_not_replace_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(folder)
    code = audit("export", folder, "--output", str(folder / "books.jsonl"))

    assert (code, capsys.readouterr().err.splitlines()[-1]) == (2, f"--output: {folder / 'books.jsonl'}: File exists")


def test_a_part_is_exported_by_time_and_team(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = exported(folder, "--team", "support", "--from", "2020-01-01", "--to", "2100-01-01T00:00+02:00")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    told = capsys.readouterr().err.splitlines()

    assert {line["team"] for line in lines if line["type"] == "record"} == {"support"}
    assert lines[0]["start_us"] == 1_577_836_800_000_000
    assert lines[0]["end_us"] == 4_102_437_600_000_000
    assert told[-1] == "a part of the books can be verified in part only"
    assert offline(folder, file) == 2


def test_an_export_without_the_signing_key_is_not_signed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "audit-signing.key").unlink()
    file = exported(folder)

    assert "warning: the manifest is not signed: audit.signing_key: " in capsys.readouterr().err
    assert "signature" not in json.loads(file.read_text().splitlines()[-1])
    assert offline(folder, file) == 0


def test_an_export_goes_through_a_pipe_into_a_verification(folder: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "audit"]
    export = subprocess.run(
        [*command, "export", "--config", str(folder / "cohort.toml")], check=True, capture_output=True
    ).stdout
    verify = [*command, "verify", "--export", "-", "--public-key", str(folder / "public.pem")]
    verified = subprocess.run(verify, check=False, input=export, capture_output=True)

    assert verified.returncode == 2  # no outside file
    assert b"incomplete: nothing is wrong" in verified.stdout


@pytest.mark.parametrize("content", [b"", b"hello", b"hello\n", b"\x00\xff" * 700_000])
def test_the_hash_of_a_file_is_that_of_the_records(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path)
    key = (tmp_path / "audit-hmac.key").read_bytes()
    file = tmp_path / "content"
    file.write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    codes = [audit("hash", tmp_path, str(file)), audit("hash", tmp_path, "-")]
    wanted = hmac.new(key, content, hashlib.sha256).hexdigest()

    assert codes == [0, 0]
    assert capsys.readouterr().out == f"{wanted}\n{wanted}\n"


def test_a_file_to_hash_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(tmp_path)

    assert audit("hash", tmp_path, "gone") == 2
    assert capsys.readouterr().err == "gone: No such file or directory\n"

"""`cohort init` and `cohort keys import`: access keys that are made and taken over beside the database."""

import time
from pathlib import Path

import orjson
import pytest

from service import config
from service.books.books import Books
from service.cli import key_tables, main
from service.identity.refusals import CredentialRefused
from service.identity.stored_access_keys import StoredAccessKey, list_access_keys
from tests.key_tables import access_key_lines, access_keys_of, at_books
from tests.unit.cli.configs import write_config

YEAR_S = 365 * 86_400


def init(file: Path, *argv: str) -> int:
    return main(["init", "--config", str(file), "--team", "demo", "--name", "ada", *argv])


def test_the_first_key_is_an_operators_and_is_made_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    assert init(file, "--expires-in-days", "30") == 0
    out, err = capfd.readouterr()
    access_keys = access_keys_of(config.load(file))
    who = access_keys.principal_of(out.strip(), time.time())

    assert (who.team, who.name, sorted(who.scopes)) == ("demo", "ada", ["admin"])
    assert out.strip() not in err
    with pytest.raises(CredentialRefused, match="expired access key"):
        access_keys.principal_of(out.strip(), time.time() + 30 * 86_400)
    assert init(file) == 1
    there = (
        "there is an access key with the scope admin, or was: `cohort keys create` makes others;"
        " if it is lost, `cohort init --again` makes one more\n"
    )
    assert capfd.readouterr() == ("", there)


def test_the_first_key_is_kept_under_the_pepper_that_new_keys_are_kept_under(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pepper-2").write_text("another-pepper-of-the-tests-0123456789")
    peppers = '1 = "file:pepper"\n2 = "file:pepper-2"\n'
    file = write_config(tmp_path, peppers=peppers, more='[identity]\npepper_version = "1"\n')
    assert init(file) == 0
    access_key = capfd.readouterr().out.strip()

    keys_under_the_old_one = access_keys_of(config.load(write_config(tmp_path)))
    assert keys_under_the_old_one.principal_of(access_key, time.time()).name == "ada"


@pytest.mark.parametrize(("scopes", "code"), [(["chat", "keys:rotate"], 0), (["chat", "admin"], 1)])
def test_a_key_of_an_operator_that_has_expired_counts_and_one_of_a_caller_does_not(
    scopes: list[str], code: int, tmp_path: Path
) -> None:
    file = write_config(tmp_path)
    (tmp_path / "keys.toml").write_text(access_key_lines("demo", "old", scopes, days=-40)[1])
    assert main(["keys", "import", str(tmp_path / "keys.toml"), "--config", str(file)]) == 0

    assert init(file) == code


def test_every_reason_against_a_first_key_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path, peppers="")
    argv = ["init", "--config", str(file), "--team", "nobody", "--name", "A Laptop", "--expires", "2020-01-01"]

    assert main(argv) == 2
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "--name", "--team", "peppers", "--expires",
    ]  # fmt: skip
    assert not (tmp_path / "cohort.db").exists()


def stored_in(file: Path) -> list[StoredAccessKey]:
    async def read(books: Books) -> list[StoredAccessKey]:
        return (await books.read(lambda tx: list_access_keys(tx, "", "", 99))).keys

    return at_books(config.load(file), read)


def notices_in(file: Path) -> list[tuple[str, str]]:
    """What each notice tells, and of whom."""

    async def read(books: Books) -> list[tuple[str, str]]:
        rows = await books.read(lambda tx: tx.fetch("SELECT body FROM audit WHERE kind = 'notice' ORDER BY at_us, seq"))
        bodies = [orjson.loads(body) for (body,) in rows]
        return [(body["event"], body["principal"]) for body in bodies if body["event"] != "writer_started"]

    return at_books(config.load(file), read)


def test_a_first_key_that_was_lost_has_a_way_back_and_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)
    assert init(file) == 0
    lost = capfd.readouterr().out.strip()
    assert init(file, "--again") == 0
    out, err = capfd.readouterr()
    who = access_keys_of(config.load(file)).principal_of(out.strip(), time.time())

    assert sorted(who.scopes) == ["admin"]
    lost_id = lost.split("_")[2]
    named = (
        f"Access key {lost_id} of demo/ada has the scope admin as well, and was never used:"
        f" if nobody has it, `cohort keys revoke {lost_id}`."
    )
    assert err.splitlines()[1:] == [named]
    assert [key.created_by for key in stored_in(file)] == ["cohort init", "cohort init --again"]
    assert notices_in(file) == [
        ("access_key_created", "cohort init"),
        ("access_key_created", "cohort init --again"),
    ]
    assert init(file) == 1


def test_only_keys_of_operators_that_give_access_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    old, caller = (access_key_lines("demo", "a", scopes, days=days)[1] for scopes, days in
                   ((["admin"], -1), (["chat"], 1)))  # fmt: skip
    (tmp_path / "keys.toml").write_text(old + caller)
    assert main(["keys", "import", str(tmp_path / "keys.toml"), "--config", str(file)]) == 0
    assert init(file, "--again") == 0

    assert len(capfd.readouterr().err.splitlines()) == 1


def import_into(file: Path, *argv: str) -> int:
    return main(["keys", "import", *argv, "--config", str(file)])


def test_a_configs_own_keys_are_moved_into_the_database_and_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)
    plain = file.read_text()
    made = [access_key_lines("demo", name, ["chat"]) for name in ("a", "b")]
    file.write_text(f"# whose they are\n{plain}{made[0][1]}{made[1][1]}# the end\n")
    former = file.read_text()
    assert main(["check", "--config", str(file)]) == 2
    assert "`cohort keys import`" in capfd.readouterr().err

    assert import_into(file) == 0
    kept = tmp_path / "cohort.toml.before-import"
    assert capfd.readouterr().out.splitlines() == [
        "2 access keys imported",
        f"{file} has no [[access_keys]] any more; {kept} is what it was",
    ]
    assert file.read_text() == f"# whose they are\n{plain}# the end\n"
    assert kept.read_text() == former
    keys_now = access_keys_of(config.load(file))
    assert [keys_now.principal_of(access_key, time.time()).name for access_key, _ in made] == ["a", "b"]


def test_keys_are_imported_again_without_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    one, two = (access_key_lines("demo", name, ["chat"])[1] for name in ("a", "b"))
    (tmp_path / "keys.toml").write_text(one)
    assert import_into(file, str(tmp_path / "keys.toml")) == 0
    (tmp_path / "keys.toml").write_text(one + two)
    assert import_into(file, str(tmp_path / "keys.toml")) == 0
    assert import_into(file) == 0

    assert capsys.readouterr().out.splitlines() == [
        "1 access key imported",
        "1 access key imported, 1 was there before",
        "0 access keys imported",
    ]


def test_another_file_and_a_config_without_keys_are_left_as_they_are(tmp_path: Path) -> None:
    file, other = write_config(tmp_path), tmp_path / "keys.toml"
    other.write_text(access_key_lines("demo", "a", ["chat"])[1])
    texts = [each.read_bytes() for each in (file, other)]
    assert import_into(file, str(other)) == import_into(file) == 0

    assert [each.read_bytes() for each in (file, other)] == texts
    assert not [*tmp_path.glob("*.before-import*")]


def test_a_key_that_was_to_live_for_more_than_a_year_lives_for_a_year_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)
    access_key, lines = access_key_lines("demo", "a", ["chat"], days=1000)
    file.write_text(file.read_text() + lines)
    assert import_into(file) == 0
    (key,) = stored_in(file)
    access_keys = access_keys_of(config.load(file))

    assert key.expires_at_us - key.created_at_us == YEAR_S * 1_000_000
    assert capsys.readouterr().out.splitlines()[1] == (
        f"{key.id} ends 365 days from now, earlier than was written: no access key lives longer"
    )
    assert access_keys.principal_of(access_key, time.time() + YEAR_S - 600).name == "a"
    with pytest.raises(CredentialRefused, match="expired access key"):
        access_keys.principal_of(access_key, time.time() + YEAR_S)


def test_a_config_that_cannot_be_changed_is_told_with_what_is_left_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_config(tmp_path)
    access_key, lines = access_key_lines("demo", "a", ["chat"])
    plain = file.read_text()
    file.write_text(plain + lines)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(key_tables, "_kept_beside", refused)
        assert import_into(file) == 1
    assert capsys.readouterr().err == (
        f"{file}: Permission denied: the access keys are in the database: delete the [[access_keys]] tables by hand,"
        " no service starts before\n"
    )
    assert file.read_text() == plain + lines
    file.write_text(plain)
    assert access_keys_of(config.load(file)).principal_of(access_key, time.time()).name == "a"


def test_tables_that_only_a_person_can_take_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    (_, lines) = access_key_lines("demo", "a", ["chat"])
    inline = ", ".join(lines.splitlines()[1:]).rstrip(", ")
    file.write_text(f"access_keys = [{{ {inline} }}]\n{file.read_text()}")

    assert import_into(file) == 1
    assert "delete the [[access_keys]] tables by hand" in capsys.readouterr().err
    assert len([*tmp_path.glob("*.before-import*")]) == 0


def test_what_cannot_be_imported_is_told_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    (tmp_path / "keys.toml").write_text(access_key_lines("other", "x", ["chat"])[1])

    assert main(["keys", "import", str(tmp_path / "keys.toml"), "--config", str(file)]) == 2
    assert main(["keys", "import", str(tmp_path / "gone.toml"), "--config", str(file)]) == 2
    wrong, gone = capsys.readouterr().err.splitlines()
    assert wrong == f"{tmp_path}/keys.toml: access_keys.0.team: no team has this name"
    assert gone.startswith(f"{tmp_path}/gone.toml: ")


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    (tmp_path / "cohort.db").write_bytes(b"no database" * 1000)

    assert init(file) == 2
    assert capsys.readouterr().err.startswith("books.database: ")

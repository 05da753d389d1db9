"""`cohort keys` and `cohort init`: what is asked for, and what is printed where."""

import datetime
import time
from pathlib import Path

import grpc
import pytest

from cohort.v1 import access_key_pb2
from cohort.v1.access_key_pb2 import (
    AccessKey,
    CreateAccessKeyRequest,
    CreateAccessKeyResponse,
    ListAccessKeysRequest,
    ListAccessKeysResponse,
    RevokeAccessKeyRequest,
    RevokeAccessKeyResponse,
    RotateAccessKeyRequest,
    RotateAccessKeyResponse,
)
from service import config
from service.cli import main
from service.cli.grants import DAYS_MAX
from service.identity.access_key_rows import ACCESS_KEY_LIFETIME_MAX
from service.identity.refusals import CredentialRefused
from tests.key_tables import access_key_lines, access_keys_of
from tests.unit.cli.answering import Answering, answering
from tests.unit.cli.configs import write_config
from tests.unit.cli.usage_answers import at

SECRET = "cohort_test_2Bq7ZkP0aXcV_secret"
KEY = AccessKey(
    id="2Bq7ZkP0aXcV",
    team="search",
    name="indexer",
    scopes=["chat", "embed"],
    state=access_key_pb2.ACCESS_KEY_STATE_ACTIVE,
    create_time=at("2026-11-21T09:15Z"),
    expire_time=at("2027-02-19T09:15Z"),
    created_by="platform/ada",
)
MADE = CreateAccessKeyResponse(secret=SECRET, access_key=KEY)
WORDS = ["--team", "search", "--name", "indexer", "--scopes", "chat,embed"]


def keys(service: Answering, folder: Path, *argv: str) -> int:
    return main(["keys", *argv, *service.flags(folder)])


def test_the_key_alone_goes_to_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(MADE) as service:
        assert keys(service, tmp_path, "create", *WORDS) == 0
    out, err = capfd.readouterr()

    assert out == f"{SECRET}\n"
    assert SECRET not in err
    assert err.startswith(
        "Made access key 2Bq7ZkP0aXcV for search/indexer with the scopes chat, embed, until 2027-02-19 09:15 UTC;"
    )


def test_a_key_is_asked_for_as_it_is_written(tmp_path: Path) -> None:
    with answering(MADE) as service:
        narrow = ["--models", "m1, m2", "--max-tokens-per-call", "7", "--expires", "2027-06-30T12:00+02:00"]
        assert keys(service, tmp_path, "create", *WORDS, *narrow) == 0
        assert keys(service, tmp_path, "create", *WORDS, "--expires-in-days", "90") == 0
        assert keys(service, tmp_path, "create", *WORDS) == 0
    narrow_one, short, long = service.requests
    assert isinstance(narrow_one, CreateAccessKeyRequest)
    assert isinstance(short, CreateAccessKeyRequest)
    assert isinstance(long, CreateAccessKeyRequest)

    assert (narrow_one.team, narrow_one.name, [*narrow_one.scopes]) == ("search", "indexer", ["chat", "embed"])
    assert ([*narrow_one.models], narrow_one.max_tokens_per_call) == (["m1", "m2"], 7)
    assert narrow_one.expire_time == at("2027-06-30T10:00Z")
    for request, days in ((short, 90), (long, 365)):
        assert not request.HasField("max_tokens_per_call")
        assert request.expire_time.seconds == pytest.approx(time.time() + days * 86_400, abs=60)


@pytest.mark.parametrize("days", ["0", "366", "-1", "1.5", "many"])
def test_a_key_lives_from_1_to_365_days(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "create", *WORDS, f"--expires-in-days={days}"])

    assert ended.value.code == 2
    assert "--expires-in-days" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [("create", *WORDS), ("rotate", KEY.id)], ids=["create", "rotate"])
def test_a_refused_key_prints_nothing_on_stdout(
    argv: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(MADE, refusal=(grpc.StatusCode.PERMISSION_DENIED, "needs admin")) as service:
        assert keys(service, tmp_path, *argv) == 1

    assert capfd.readouterr() == ("", "PERMISSION_DENIED: needs admin\n")


def test_a_rotation_prints_the_new_key_and_tells_when_the_old_one_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = AccessKey(id="OLD", expire_time=at("2026-11-22T09:15Z"))
    with answering(RotateAccessKeyResponse(secret=SECRET, access_key=KEY, replaced=old)) as service:
        assert keys(service, tmp_path, "rotate", "OLD") == 0
        assert keys(service, tmp_path, "rotate", "OLD", "--overlap-seconds", "0", "--expires", "2027-06-30") == 0
    plain, cut = service.requests
    out, err = capfd.readouterr()

    assert out == f"{SECRET}\n" * 2
    assert "Access key OLD, which it replaces, ends 2026-11-22 09:15 UTC." in err
    assert plain == RotateAccessKeyRequest(id="OLD", overlap_seconds=86_400)
    assert cut == RotateAccessKeyRequest(id="OLD", overlap_seconds=0, expire_time=at("2027-06-30T00:00Z"))


@pytest.mark.parametrize("seconds", ["-1", "2592001", "1.5", "long"])
def test_keys_overlap_by_30_days_at_most(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "rotate", "OLD", f"--overlap-seconds={seconds}"])

    assert ended.value.code == 2
    assert "--overlap-seconds" in capsys.readouterr().err


def test_a_revocation_tells_since_when(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    revoked = AccessKey(id="A", team="search", name="indexer", revoke_time=at("2026-11-21T09:15Z"))
    with answering(RevokeAccessKeyResponse(access_key=revoked)) as service:
        assert keys(service, tmp_path, "revoke", "A", "--note", "in a log") == 0

    assert service.requests == [RevokeAccessKeyRequest(id="A", note="in a log")]
    assert capfd.readouterr().out == "Access key A of search/indexer is revoked since 2026-11-21 09:15 UTC.\n"


def test_the_keys_of_all_pages_are_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    revoked = AccessKey(
        id="B",
        team="search",
        name="old",
        scopes=["chat"],
        models=["m"],
        max_tokens_per_call=1000,
        state=access_key_pb2.ACCESS_KEY_STATE_REVOKED,
        revoke_time=at("2026-11-21T09:15Z"),
        replaced_by="C",
        last_used_day="2026-11-20",
    )
    pages = [
        ListAccessKeysResponse(access_keys=[KEY], next_page_token="next"),
        ListAccessKeysResponse(access_keys=[revoked]),
    ]
    with answering(*pages) as service:
        assert keys(service, tmp_path, "list", "--team", "search", "--state", "active") == 0
    first, second = service.requests
    out = capfd.readouterr().out

    state = access_key_pb2.ACCESS_KEY_STATE_ACTIVE
    assert first == ListAccessKeysRequest(team="search", state=state, page_size=1000)
    assert second == ListAccessKeysRequest(team="search", state=state, page_size=1000, page_token="next")
    for told in ("2Bq7ZkP0aXcV", "active", "the team's", "never", "by platform/ada", "revoked", "by C", "1,000"):
        assert told in out


def test_each_key_is_a_line_of_json_if_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(ListAccessKeysResponse(access_keys=[KEY, KEY])) as service:
        assert keys(service, tmp_path, "list", "--json") == 0

    assert [line.startswith('{"id":') for line in capfd.readouterr().out.splitlines()] == [True, True]


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
    assert capfd.readouterr() == (
        "",
        "there is an access key with the scope admin, or was: `cohort keys create` makes others\n",
    )


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


def test_an_old_config_is_imported_as_it_is_and_again_without_harm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path)
    made = [access_key_lines("demo", name, ["chat"]) for name in ("a", "b")]
    file.write_text(file.read_text() + made[0][1])
    argv = ["keys", "import", str(file), "--config", str(file)]
    assert main(["check", "--config", str(file)]) == 2
    assert "`cohort keys import FILE`" in capsys.readouterr().err

    assert main(argv) == 0
    file.write_text(file.read_text() + made[1][1])
    assert main(argv) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 access key imported",
        "1 access key imported, 1 was there before",
    ]
    file.write_text(file.read_text()[: file.read_text().index("[[access_keys]]")])
    keys_now = access_keys_of(config.load(file))
    assert [keys_now.principal_of(access_key, time.time()).name for access_key, _ in made] == ["a", "b"]


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


def test_the_days_of_a_key_are_those_of_the_contract() -> None:
    assert datetime.timedelta(days=DAYS_MAX) == ACCESS_KEY_LIFETIME_MAX

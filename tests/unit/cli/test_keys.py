"""`cohort keys` at a service: what is asked for, and what is printed where."""

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
from service.cli import calling, main
from service.cli.grants import DAYS_MAX
from service.identity.access_key_rows import ACCESS_KEY_LIFETIME_MAX
from tests.unit.cli.answering import Answering, answering
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
        narrow += ["--requests-per-minute", "8", "--requests-per-day", "9"]
        assert keys(service, tmp_path, "create", *WORDS, *narrow) == 0
        assert keys(service, tmp_path, "create", *WORDS, "--expires-in-days", "90") == 0
        assert keys(service, tmp_path, "create", *WORDS) == 0
    narrow_one, short, long = service.requests
    assert isinstance(narrow_one, CreateAccessKeyRequest)
    assert isinstance(short, CreateAccessKeyRequest)
    assert isinstance(long, CreateAccessKeyRequest)

    assert (narrow_one.team, narrow_one.name, [*narrow_one.scopes]) == ("search", "indexer", ["chat", "embed"])
    assert ([*narrow_one.models], narrow_one.max_tokens_per_call) == (["m1", "m2"], 7)
    assert (narrow_one.requests_per_minute, narrow_one.requests_per_day) == (8, 9)
    assert narrow_one.expire_time == at("2027-06-30T10:00Z")
    for request, days in ((short, 90), (long, 365)):
        assert not request.HasField("max_tokens_per_call")
        assert not request.HasField("requests_per_minute")
        assert not request.HasField("requests_per_day")
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
    assert isinstance(plain, RotateAccessKeyRequest)
    assert isinstance(cut, RotateAccessKeyRequest)
    names = [plain.request_id, cut.request_id]
    assert all(names)
    assert plain == RotateAccessKeyRequest(id="OLD", overlap_seconds=86_400, request_id=names[0])
    assert cut == RotateAccessKeyRequest(
        id="OLD", overlap_seconds=0, expire_time=at("2027-06-30T00:00Z"), request_id=names[1]
    )


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


def test_a_revocation_tells_which_successor_still_gives_access(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    revoked = AccessKey(id="A", team="search", name="indexer", revoke_time=at("2026-11-21T09:15Z"))
    gone = AccessKey(id="B", state=access_key_pb2.ACCESS_KEY_STATE_EXPIRED)
    lives = AccessKey(id="C", state=access_key_pb2.ACCESS_KEY_STATE_ACTIVE)
    with answering(RevokeAccessKeyResponse(access_key=revoked, successors=[gone, lives])) as service:
        assert keys(service, tmp_path, "revoke", "A") == 0
    out, err = capfd.readouterr()

    assert out == "Access key A of search/indexer is revoked since 2026-11-21 09:15 UTC.\n"
    assert err == (
        "Access key C, which took its place, still gives access: if others have it, too,"
        " `cohort keys revoke C --with-successors`.\n"
    )


def test_a_key_is_revoked_with_what_took_its_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = [AccessKey(id=key_id, team="search", name="indexer", revoke_time=at("2026-11-21T09:15Z")) for key_id in "AB"]
    with answering(RevokeAccessKeyResponse(access_key=line[0], successors=line[1:])) as service:
        assert keys(service, tmp_path, "revoke", "A", "--with-successors") == 0

    assert service.requests == [RevokeAccessKeyRequest(id="A", with_successors=True)]
    assert [told.split()[2] for told in capfd.readouterr().out.splitlines()] == ["A", "B"]


@pytest.mark.parametrize("argv", [("create", *WORDS), ("rotate", KEY.id)], ids=["create", "rotate"])
def test_a_request_whose_answer_is_lost_is_sent_again_under_the_same_name(
    argv: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "AGAIN_AFTER_S", 0.0)
    made = MADE if argv[0] == "create" else RotateAccessKeyResponse(secret=SECRET, access_key=KEY)
    with answering(made, lost=2) as service:
        assert keys(service, tmp_path, *argv) == 0

    first, *again = service.requests
    assert again == [first] * 2
    assert capfd.readouterr().out == f"{SECRET}\n"


@pytest.mark.parametrize(
    ("argv", "end"),
    [(("create", *WORDS), ()), (("rotate", KEY.id), ()), (("rotate", KEY.id), ("--expires-in-days", "3"))],
    ids=["create", "rotate", "rotate with an end"],
)
def test_who_gets_no_answer_is_told_how_to_ask_for_the_same_key(
    argv: tuple[str, ...],
    end: tuple[str, ...],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calling, "AGAIN_AFTER_S", 0.0)
    made = MADE if argv[0] == "create" else RotateAccessKeyResponse(secret=SECRET, access_key=KEY)
    with answering(made, lost=calling.ATTEMPTS_MAX) as service:
        assert keys(service, tmp_path, *argv, *end) == 1
        advice = capfd.readouterr().err.splitlines()[-1].partition(": ")[2].split()
        assert keys(service, tmp_path, *argv, *advice) == 0

    first, *others = service.requests
    assert others == [first] * calling.ATTEMPTS_MAX


def test_a_refusal_is_no_reason_to_ask_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(MADE, refusal=(grpc.StatusCode.ALREADY_EXISTS, "taken")) as service:
        assert keys(service, tmp_path, "create", *WORDS, "--request-id", "mine") == 1

    (request,) = service.requests
    assert isinstance(request, CreateAccessKeyRequest)
    assert request.request_id == "mine"
    assert capfd.readouterr() == ("", "ALREADY_EXISTS: taken\n")


def test_the_keys_of_all_pages_are_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    revoked = AccessKey(
        id="B",
        team="search",
        name="old",
        scopes=["chat"],
        models=["m"],
        max_tokens_per_call=1000,
        requests_per_minute=60,
        requests_per_day=5_000,
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
    for told in (
        "2Bq7ZkP0aXcV",
        "active",
        "the team's",
        "never",
        "by platform/ada",
        "revoked",
        "by C",
        "1,000",
        "60 a minute",
        "5,000 a day",
    ):
        assert told in out


def test_each_key_is_a_line_of_json_if_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(ListAccessKeysResponse(access_keys=[KEY, KEY])) as service:
        assert keys(service, tmp_path, "list", "--json") == 0

    assert [line.startswith('{"id":') for line in capfd.readouterr().out.splitlines()] == [True, True]


def test_the_days_of_a_key_are_those_of_the_contract() -> None:
    assert datetime.timedelta(days=DAYS_MAX) == ACCESS_KEY_LIFETIME_MAX

"""`cohort service-accounts` and `cohort token`: what leaves the machine, and what is printed of the answer."""

import json
import os
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    CreateServiceAccountResponse,
    ListServiceAccountsRequest,
    ListServiceAccountsResponse,
    RevokeServiceAccountRequest,
    RevokeServiceAccountResponse,
    ServiceAccount,
)
from service.cli import main, shown_once
from tests.unit.cli.answering import Answering, answering
from tests.unit.cli.usage_answers import at

ACCOUNT = ServiceAccount(
    id="sa_AAAAAAAAAAAAAAAA",
    team="search",
    name="indexer",
    scopes=["chat", "embed"],
    algorithm="EdDSA",
    create_time=at("2026-11-21T09:15Z"),
    created_by="platform/ada",
)
MADE = CreateServiceAccountResponse(service_account=ACCOUNT, audience="cohort", organisation="example")
WORDS = ["--team", "search", "--name", "indexer", "--scopes", "chat,embed"]


def create(service: Answering, folder: Path, *argv: str) -> int:
    return main(["service-accounts", "create", *WORDS, *argv, *service.flags(folder)])


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("EdDSA", Ed25519PrivateKey), ("ES256", ec.EllipticCurvePrivateKey)], ids=["EdDSA", "ES256"]
)
def test_the_private_key_is_printed_and_only_its_public_half_is_sent(
    algorithm: str, kind: type, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(MADE) as service:
        assert create(service, tmp_path, "--algorithm", algorithm) == 0
    (request,) = service.requests
    out, err = capfd.readouterr()
    printed = json.loads(out)
    private_key = load_pem_private_key(printed["private_key"].encode(), None)

    assert isinstance(request, CreateServiceAccountRequest)
    assert isinstance(private_key, kind)
    assert load_pem_public_key(request.public_key.encode()) == private_key.public_key()
    assert b"PRIVATE" not in request.SerializeToString()
    assert "PRIVATE" not in err
    assert "sa_AAAAAAAAAAAAAAAA" in err


def test_the_file_holds_all_that_signing_takes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(MADE) as service:
        assert create(service, tmp_path) == 0
    printed = json.loads(capfd.readouterr().out)

    assert printed.pop("private_key").startswith("-----BEGIN PRIVATE KEY-----")
    assert printed == {
        "type": "cohort_service_account",
        "id": "sa_AAAAAAAAAAAAAAAA",
        "team": "search",
        "name": "indexer",
        "scopes": ["chat", "embed"],
        "audience": "cohort",
        "org_id": "example",
        "algorithm": "EdDSA",
    }


def test_an_account_is_asked_for_as_it_is_written(tmp_path: Path) -> None:
    with answering(MADE) as service:
        assert create(service, tmp_path, "--models", "m1, m2", "--max-tokens-per-call", "7") == 0
        assert create(service, tmp_path) == 0
    narrow, wide = service.requests
    assert isinstance(narrow, CreateServiceAccountRequest)
    assert isinstance(wide, CreateServiceAccountRequest)

    assert (narrow.team, narrow.name, [*narrow.scopes]) == ("search", "indexer", ["chat", "embed"])
    assert ([*narrow.models], narrow.max_tokens_per_call) == (["m1", "m2"], 7)
    assert [*wide.models] == []
    assert not wide.HasField("max_tokens_per_call")
    assert narrow.public_key != wide.public_key


def test_a_refused_account_prints_no_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(MADE, refusal=(grpc.StatusCode.PERMISSION_DENIED, "needs admin")) as service:
        assert create(service, tmp_path) == 1
    out, err = capfd.readouterr()

    assert out == ""
    assert err == "PERMISSION_DENIED: needs admin\n"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read_is_warned_of(mode: int, warned: bool, tmp_path: Path) -> None:  # noqa: FBT001
    with (tmp_path / "file").open("w") as file:
        (tmp_path / "file").chmod(mode)

        assert shown_once._others_can_read(file.fileno()) == warned


def test_a_pipe_is_not_warned_of() -> None:
    ends = os.pipe()

    assert [shown_once._others_can_read(end) for end in ends] == [False, False]
    for end in ends:
        os.close(end)


def test_all_pages_are_listed_as_one_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    revoked = ServiceAccount()
    revoked.CopyFrom(ACCOUNT)
    revoked.id = "sa_BBBBBBBBBBBBBBBB"
    revoked.models.append("m1")
    revoked.max_tokens_per_call = 7000
    revoked.last_used_day = "2026-11-21"
    revoked.revoke_time.CopyFrom(at("2026-11-22T10:00Z"))
    pages = [
        ListServiceAccountsResponse(service_accounts=[ACCOUNT], next_page_token="next"),
        ListServiceAccountsResponse(service_accounts=[revoked]),
    ]
    with answering(*pages) as service:
        assert main(["service-accounts", "list", "--team", "search", *service.flags(tmp_path)]) == 0

    assert service.requests == [
        ListServiceAccountsRequest(team="search", page_size=1_000),
        ListServiceAccountsRequest(team="search", page_size=1_000, page_token="next"),
    ]
    lines = capfd.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["search", "indexer", "sa_AAAAAAAAAAAAAAAA", "active"]
    assert "never" in lines[1]
    assert "revoked 2026-11-22 10:00 UTC" in lines[3]
    assert "7,000" in lines[3]


def test_a_list_in_json_has_one_account_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with answering(ListServiceAccountsResponse(service_accounts=[ACCOUNT, ACCOUNT])) as service:
        assert main(["service-accounts", "list", "--json", *service.flags(tmp_path)]) == 0

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == ["sa_AAAAAAAAAAAAAAAA"] * 2


def test_a_revocation_tells_since_when(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = ServiceAccount(id="sa_A", team="search", name="indexer", revoke_time=at("2026-11-22T10:00Z"))
    with answering(RevokeServiceAccountResponse(service_account=ended)) as service:
        assert main(["service-accounts", "revoke", "sa_A", "--note", "lost", *service.flags(tmp_path)]) == 0

    assert service.requests == [RevokeServiceAccountRequest(id="sa_A", note="lost")]
    assert capfd.readouterr().out == "Service account sa_A of search/indexer is revoked since 2026-11-22 10:00 UTC.\n"


@pytest.fixture
def file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """What `create` has printed."""
    with answering(MADE) as service:
        assert create(service, tmp_path) == 0
    made = tmp_path / "service-account.json"
    made.touch(0o600)
    made.write_text(capfd.readouterr().out)
    return made


def claims_of(token: str, file: Path) -> dict[str, Any]:
    private_key = load_pem_private_key(json.loads(file.read_text())["private_key"].encode(), None)
    assert isinstance(private_key, Ed25519PrivateKey)
    return jwt.decode(token, private_key.public_key(), ["EdDSA"], audience="cohort")


def test_a_token_is_signed_without_a_service(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "--service-account", str(file), "--scopes", "chat", "--expires-in", "60"]) == 0
    claims = claims_of(capfd.readouterr().out.removesuffix("\n"), file)

    assert claims["iss"] == claims["sub"] == "sa_AAAAAAAAAAAAAAAA"
    assert (claims["org_id"], claims["scopes"], claims["exp"] - claims["iat"]) == ("example", ["chat"], 60)


def test_a_token_has_all_scopes_and_an_hour_if_nothing_else_is_said(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "--service-account", str(file)]) == 0
    claims = claims_of(capfd.readouterr().out.removesuffix("\n"), file)

    assert (claims["scopes"], claims["exp"] - claims["iat"]) == (["chat", "embed"], 3600)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--scopes", "rerank"], "the service account does not have the scope rerank\n"),
        (["--scopes", ""], "a token needs a scope\n"),
        (["--expires-in", "86401"], "a token is valid for 1 to 86400 seconds\n"),
    ],
)
def test_a_token_that_would_be_refused_is_not_signed(
    argv: list[str], told: str, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "--service-account", str(file), *argv]) == 2
    assert capfd.readouterr() == ("", told)


def test_a_file_that_others_can_read_signs_nothing(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o640)

    assert main(["token", "--service-account", str(file)]) == 2
    assert main(["usage", "--service-account", str(file)]) == 2
    told = f"--service-account: {file} is open to others on this machine: chmod 600 it\n"
    assert capfd.readouterr() == ("", told * 2)


def test_a_file_that_is_no_account_is_told_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch(0o600)
    (tmp_path / "file").write_text("{}")

    assert main(["token", "--service-account", str(tmp_path / "file")]) == 2
    assert capfd.readouterr().err.startswith("--service-account: not a service account: ")
    assert main(["token", "--service-account", str(tmp_path / "none")]) == 2
    assert "No such file" in capfd.readouterr().err

"""Which credential a calling command presents, and that it does not travel in clear."""

import json
import time
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cohort.client import CohortError
from cohort.client.service_account import KIND
from cohort.v1.get_usage_pb2 import GetUsageResponse
from cohort.v1.team_pb2 import GetTeamRequest, GetTeamResponse, Team
from service.cli import main, whoami
from service.cli.commands import CommandFailed
from service.cli.token_store import Login, login_store
from tests.unit.cli.answering import answering

TOKEN = "access-secret"


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("COHORT_ACCESS_KEY", raising=False)


def key_file(path: Path, access_key: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.touch(0o600)
    path.write_text(f"{access_key}\n")
    return path


def logged_in(access_token: str = TOKEN) -> None:
    login_store().save(
        Login(
            issuer="https://issuer.test",
            client_id="cohort-cli",
            scopes_asked=("chat",),
            token_endpoint="https://issuer.test/token",
            expires_at_s=int(time.time() + 3600),
            access_token=access_token,
        )
    )


def account_file(path: Path) -> Path:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    members = {"type": KIND, "id": "sa_1", "algorithm": "EdDSA", "audience": "cohort", "org_id": "acme"}
    path.touch(0o600)
    path.write_text(json.dumps({**members, "scopes": ["chat"], "private_key": pem.decode()}))
    return path


def presented(*flags: str) -> dict[str, str | bytes]:
    """The credential with which `cohort usage` calls."""
    with answering(GetUsageResponse()) as service:
        assert main(["usage", "--json", "--target", service.target, *flags]) == 0
    (credential,) = service.credentials
    return credential


def test_the_first_that_is_there_is_presented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in()
    assert presented() == {"authorization": f"Bearer {TOKEN}"}

    key_file(tmp_path / ".cohort" / "access_key", "from-demo")
    assert presented() == {"x-api-key": "from-demo"}

    monkeypatch.setenv("COHORT_ACCESS_KEY", "from-environment")
    assert presented() == {"x-api-key": "from-environment"}

    assert presented("--access-key-file", str(key_file(tmp_path / "key", "from-file"))) == {"x-api-key": "from-file"}


def test_a_service_account_is_presented_as_a_jwt_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_ACCESS_KEY", "from-environment")
    (value,) = presented("--service-account", str(account_file(tmp_path / "account.json"))).values()

    assert str(value).startswith("Bearer eyJ")


def test_a_file_that_is_no_service_account_is_named_without_being_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["usage", "--service-account", str(key_file(tmp_path / "account", "secret"))]) == 2
    err = capsys.readouterr().err
    assert err == "--service-account: not a service account: not JSON\n"


def test_two_credentials_are_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["usage", "--service-account", "a", "--access-key-file", "b"])

    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_the_demos_access_key_is_for_this_machine_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key_file(tmp_path / ".cohort" / "access_key", "from-demo")

    assert main(["usage", "--tls", "--target", "cohort.example.com:443"]) == 2
    assert capsys.readouterr().err.startswith("who calls?")


def test_a_login_does_not_leave_the_machine_in_clear(capsys: pytest.CaptureFixture[str]) -> None:
    logged_in()

    assert main(["usage", "--target", "10.0.0.1:50051"]) == 2
    assert "--plaintext-off-loopback" in capsys.readouterr().err


# cohort whoami


def test_whoami_tells_of_the_login_but_not_its_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    logged_in()

    assert main(["whoami", "--target", "127.0.0.1:1"]) == 0
    shown = capsys.readouterr()
    facts = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert facts.pop("expires").endswith(" UTC, not renewed")
    assert facts == {
        "credential": "login",
        "from": str(login_store().file),
        "issuer": "https://issuer.test",
        "subject": "not told",
        "client": "cohort-cli",
        "scopes": "none",
    }
    assert shown.err.startswith("127.0.0.1:1 does not answer, so who it takes you for is not known: UNAVAILABLE")
    assert TOKEN not in shown.out + shown.err


def test_whoami_tells_the_team_that_cohort_takes_one_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(GetTeamResponse(team=Team(name="search"))) as service:
        assert main(["whoami", *service.flags(tmp_path)]) == 0

    assert service.requests == [GetTeamRequest()]
    assert capsys.readouterr().out.splitlines() == [
        "credential  access key",
        f"from        {tmp_path / 'access_key'}",
        f"{service.target} takes you for a caller of the team search.",
    ]


def test_whoami_takes_a_missing_scope_for_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    failure = CohortError(grpc.StatusCode.PERMISSION_DENIED, "needs usage:read", "SCOPE_MISSING")

    assert whoami._refused(failure, "cohort.test:443") == 0
    assert "knows you" in capsys.readouterr().out


@pytest.mark.parametrize(
    "failure",
    [
        CohortError(grpc.StatusCode.UNAUTHENTICATED, "no", "CREDENTIAL_REJECTED"),
        CohortError(grpc.StatusCode.UNAUTHENTICATED, "a proxy says no"),
        CohortError(grpc.StatusCode.UNAVAILABLE, "the issuer cannot be asked", "CREDENTIAL_UNVERIFIABLE"),
    ],
    ids=str,
)
def test_whoami_fails_if_cohort_does_not_take_the_credential(failure: CohortError) -> None:
    with pytest.raises(CommandFailed, match="refuses you") as failed:
        whoami._refused(failure, "cohort.test:443")

    assert failed.value.exit_code == 1


def test_whoami_without_a_credential_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whoami"]) == 2
    assert capsys.readouterr().err.startswith("who calls? `cohort login`")

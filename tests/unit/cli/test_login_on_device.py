"""`cohort login --device`: how an issuer is asked after, and what of its answers ends it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli import main, oauth_device
from service.cli.oauth_code import has_browser
from service.cli.token_store import login_store
from tests.unit.cli.fake_issuer import (
    ACCESS_TOKEN,
    CLIENT,
    DEVICE_CODE,
    ISSUER,
    TOKENS,
    FakeIssuer,
    error,
    installed,
    shows_no_secret,
)

ARGV = ["login", "--issuer", ISSUER, "--client-id", CLIENT, "--scopes", "chat", "--device"]
PENDING = error("authorization_pending")
GIVEN = httpx.Response(200, json=TOKENS)


class Clock:
    """Passes when it is slept on."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return 1000 + sum(self.slept)

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(oauth_device, "time", clock)
    return clock


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    return installed(FakeIssuer(), monkeypatch)


def test_a_code_that_is_approved_becomes_a_login(
    issuer: FakeIssuer, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.token_answers = [PENDING, PENDING, GIVEN]

    code = main([*ARGV, "--audience", "cohort", "--resource", "https://cohort.test"])
    shown = capsys.readouterr()

    assert code == 0
    assert issuer.sent("/device") == [
        {"client_id": CLIENT, "scope": "chat", "audience": "cohort", "resource": "https://cohort.test"}
    ]
    assert issuer.sent("/token")[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": CLIENT,
        "device_code": DEVICE_CODE,
        "resource": "https://cohort.test",
    }
    assert clock.slept == [5, 5, 5]
    assert shown.err == "To log in, go to\n\nhttps://issuer.test/device\n\nand enter ABCD-EFGH\n"
    assert shows_no_secret(shown.out + shown.err)
    login = login_store().load()
    assert login is not None
    assert login.access_token == ACCESS_TOKEN


def test_slow_down_lengthens_the_interval_for_good(issuer: FakeIssuer, clock: Clock) -> None:
    issuer.device_answer["interval"] = 2
    issuer.token_answers = [error("slow_down"), PENDING, error("slow_down"), GIVEN]

    assert main(ARGV) == 0
    assert clock.slept == [2, 7, 7, 12]


def test_an_issuer_that_does_not_answer_is_asked_less_often(issuer: FakeIssuer, clock: Clock) -> None:
    issuer.token_answers = [httpx.ReadTimeout("slow"), httpx.Response(503), GIVEN]

    assert main(ARGV) == 0
    assert clock.slept == [5, 10, 20]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (error("access_denied"), "the login was denied"),
        (error("expired_token"), "before the code expired"),
        (error("invalid_grant", f"{DEVICE_CODE} is unknown"), "refuses: invalid_grant: … is unknown"),
    ],
    ids=["denied", "expired", "else"],
)
def test_an_end_is_told_in_one_line(
    answer: httpx.Response, told: str, issuer: FakeIssuer, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.token_answers = [PENDING, answer]

    assert main(ARGV) == 1
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert len(issuer.sent("/token")) == 2
    assert login_store().load() is None


@pytest.mark.parametrize("flags", [[], ["--timeout-seconds", "12"]], ids=["of the code", "of the person"])
def test_nobody_is_waited_for_longer_than_the_code_lives(
    flags: list[str], issuer: FakeIssuer, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.device_answer["expires_in"] = 600 if flags else 12
    issuer.token_answers = [PENDING]

    assert main([*ARGV, *flags]) == 1
    assert clock.slept == [5, 5, 2]
    assert "before the code expired" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"device_code": None},
        {"user_code": "AB\x1b[2J"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "file:///etc/passwd"},
        {"expires_in": "soon"},
        {"interval": "x"},
        {"interval": []},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_shown_or_kept_to_is_malformed(
    change: dict[str, Any], issuer: FakeIssuer, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.device_answer |= change

    assert main(ARGV) == 1
    assert "malformed" in capsys.readouterr().err
    assert issuer.sent("/token") == []


def test_an_issuer_that_refuses_to_begin_is_told(
    issuer: FakeIssuer, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.device_answer = {"error": "unauthorized_client", "error_description": "not you"}

    assert main(ARGV) == 1
    assert capsys.readouterr().err == f"{ISSUER} refuses: unauthorized_client: not you\n"


def test_an_issuer_without_devices_says_so(issuer: FakeIssuer, capsys: pytest.CaptureFixture[str]) -> None:
    issuer.metadata["device_authorization_endpoint"] = None

    assert main(ARGV) == 1
    assert "no logins on another device" in capsys.readouterr().err


def test_without_a_browser_the_login_is_on_another_device(
    issuer: FakeIssuer, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    issuer.device_answer["verification_uri_complete"] = "https://issuer.test/device?code=ABCD-EFGH"

    assert not has_browser()
    assert main(ARGV[:-1]) == 0
    assert "https://issuer.test/device?code=ABCD-EFGH" in capsys.readouterr().err

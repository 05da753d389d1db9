"""`cohort login`: which issuers are asked, and what of their metadata is believed."""

import webbrowser
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli import main
from service.cli.commands import CommandFailed
from service.cli.oauth_issuer import discovered, metadata_urls
from tests.unit.cli.fake_issuer import CLIENT, ISSUER, Browser, FakeIssuer, installed


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("BROWSER", "a browser of the tests")
    monkeypatch.setattr(webbrowser, "get", lambda: None)


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    return installed(FakeIssuer(), monkeypatch)


METADATA = [
    ("another issuer", {"issuer": "https://evil.test"}, "says that it is 'https://evil.test'"),
    ("no S256", {"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ("no token endpoint", {"token_endpoint": None}, "no token_endpoint"),
    ("an endpoint in clear", {"token_endpoint": "http://issuer.test/token"}, "token_endpoint of the issuer is not"),
    ("another scheme", {"authorization_endpoint": "file:///bin/sh"}, "authorization_endpoint of the issuer is not"),
    ("an endpoint that is none", {"revocation_endpoint": 7}, "revocation_endpoint of the issuer is no URL"),
    ("no browser logins", {"authorization_endpoint": None}, "no logins in a browser"),
]


@pytest.mark.parametrize(("change", "told"), [each[1:] for each in METADATA], ids=[each[0] for each in METADATA])
def test_metadata_that_cannot_be_trusted_end_the_login(
    change: dict[str, Any],
    told: str,
    issuer: FakeIssuer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    issuer.metadata |= change
    browser = Browser(dict)
    monkeypatch.setattr(webbrowser, "open", browser.open)

    assert main(["login", "--issuer", ISSUER, "--client-id", CLIENT]) in {1, 2}
    assert told in capsys.readouterr().err
    assert browser.url == ""


@pytest.mark.parametrize(
    "url",
    ["http://issuer.test", "ftp://issuer.test", "https://", "https://u:p@issuer.test", "issuer", "https://i.test/ x"],
)
def test_an_issuer_is_asked_over_tls_alone(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "--issuer", url, "--client-id", CLIENT]) == 2
    assert "--issuer is not https://HOST/PATH" in capsys.readouterr().err


def test_metadata_are_looked_for_where_both_standards_have_them() -> None:
    assert metadata_urls("https://issuer.test/company/") == (
        "https://issuer.test/company/.well-known/openid-configuration",
        "https://issuer.test/.well-known/oauth-authorization-server/company",
    )


def test_the_second_place_is_looked_at_if_there_is_nothing_in_the_first() -> None:
    document = {"issuer": "https://issuer.test", "token_endpoint": "https://issuer.test/token"}

    def answer(request: httpx.Request) -> httpx.Response:
        found = request.url.path == "/.well-known/oauth-authorization-server"
        return httpx.Response(200, json=document) if found else httpx.Response(404)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        assert discovered(http, "https://issuer.test").token_endpoint == "https://issuer.test/token"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(302, headers={"location": "https://evil.test"}), "answers 302"),
        (httpx.Response(200, text="<html>"), "no JSON object"),
        (httpx.ConnectError("refused"), "does not answer: refused"),
    ],
    ids=["redirect", "page", "nothing"],
)
def test_an_issuer_without_metadata_is_told(answer: httpx.Response | Exception, told: str) -> None:
    asked = []

    def given(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with (
        httpx.Client(transport=httpx.MockTransport(given)) as http,
        pytest.raises(CommandFailed, match=told),
    ):
        discovered(http, "https://issuer.test")

    assert set(asked) == {"issuer.test"}

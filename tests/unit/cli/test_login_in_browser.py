"""`cohort login` in the browser: what the issuer is told, what of its answers is believed, and what is shown."""

import json
import webbrowser
from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from service.cli import main
from service.cli.token_store import Login, login_store
from tests.unit.cli.fake_issuer import (
    ACCESS_TOKEN,
    CLIENT,
    CODE,
    ISSUER,
    REFRESH_TOKEN,
    TOKENS,
    FakeIssuer,
    error,
    id_token,
    shows_no_secret,
)
from tests.unit.cli.login_browsing import ARGV, at_home, coming_back, issuer

__all__ = ["at_home", "issuer"]


def stored() -> Login:
    login = login_store().load()
    assert login is not None
    return login


def test_a_code_becomes_a_login_that_is_kept(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = coming_back(monkeypatch)

    code = main([*ARGV, "--scopes", "chat,usage:read", "--audience", "cohort", "--resource", "https://cohort.test"])
    shown = capsys.readouterr()

    assert code == 0
    assert shown.out == f"Logged in at {ISSUER}. The tokens are in {login_store().file}.\n"
    assert browser.url in shown.err
    asked = browser.parameters
    assert {
        name: asked[name] for name in ("tenant", "response_type", "client_id", "scope", "audience", "resource")
    } == {
        "tenant": "1",
        "response_type": "code",
        "client_id": CLIENT,
        "scope": "chat usage:read",
        "audience": "cohort",
        "resource": "https://cohort.test",
    }
    assert "nonce" not in asked
    (form,) = issuer.sent("/token")
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == create_s256_code_challenge(form.pop("code_verifier"))
    assert form == {
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "code": CODE,
        "redirect_uri": asked["redirect_uri"],
        "resource": "https://cohort.test",
    }
    login = stored()
    assert (login.access_token, login.refresh_token, login.scopes) == (ACCESS_TOKEN, REFRESH_TOKEN, ("chat",))
    assert shows_no_secret(shown.out + shown.err + repr(login) + str(login))


def test_no_two_logins_share_what_they_are_recognised_by(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for _ in range(2):
        browser = coming_back(monkeypatch)
        main([*ARGV, "--scopes", "chat"])
        seen.append(browser.parameters)

    assert all(seen[0][name] != seen[1][name] and len(seen[0][name]) == 43 for name in ("state", "code_challenge"))


ANSWERS_NOT_BELIEVED: list[tuple[str, dict[str, str | None], str]] = [
    ("another issuer", {"iss": "https://evil.test"}, "not of https://issuer.test/company"),
    ("an error", {"code": None, "error": "access_denied", "error_description": "no\x1b[2J"}, "access_denied: no\ufffd"),
    ("no code", {"code": None}, "has sent no code"),
    ("an empty code", {"code": ""}, "has sent no code"),
]


@pytest.mark.parametrize(
    ("change", "told"), [each[1:] for each in ANSWERS_NOT_BELIEVED], ids=[each[0] for each in ANSWERS_NOT_BELIEVED]
)
def test_an_answer_that_is_not_believed_ends_the_login_in_one_line(
    change: dict[str, str | None],
    told: str,
    issuer: FakeIssuer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    coming_back(monkeypatch, lambda answer: {k: v for k, v in (answer | change).items() if v is not None})

    code = main([*ARGV, "--scopes", "chat"])
    last = capsys.readouterr().err.splitlines()[-1]

    assert code == 1
    assert told in last
    assert issuer.forms == []
    assert login_store().load() is None


def test_an_issuer_that_names_itself_in_its_answers_has_to(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    coming_back(monkeypatch)
    without = main([*ARGV, "--scopes", "chat"])
    coming_back(monkeypatch, lambda answer: answer | {"iss": ISSUER})

    assert (without, main([*ARGV, "--scopes", "chat"])) == (1, 0)
    assert f"not of {ISSUER}" in capsys.readouterr().err


def test_an_id_token_says_who_logged_in(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_id_token(answer: dict[str, str]) -> dict[str, str]:
        issuer.token_answers = [httpx.Response(200, json=TOKENS | {"id_token": id_token(nonce=nonce())})]
        return answer

    def nonce() -> str:
        return browser.parameters["nonce"]

    browser = coming_back(monkeypatch, with_id_token)

    assert main(ARGV) == 0
    assert browser.parameters["scope"] == "openid offline_access"
    assert browser.parameters["prompt"] == "consent"
    assert stored().subject == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {},
        {"nonce": None, "iss": "https://evil.test"},
        {"nonce": None, "aud": "another client"},
        {"nonce": None, "aud": [CLIENT, "other"], "azp": "other"},
        {"nonce": None, "exp": 1},
    ],
    ids=["nonce", "no nonce", "issuer", "audience", "authorised party", "expired"],
)
def test_an_id_token_of_another_login_is_not_believed(
    claims: dict[str, Any], issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_id_token(answer: dict[str, str]) -> dict[str, str]:
        right = {"nonce": browser.parameters["nonce"]} if "nonce" in claims and claims["nonce"] is None else {}
        issuer.token_answers = [httpx.Response(200, json=TOKENS | {"id_token": id_token(**(claims | right))})]
        return answer

    browser = coming_back(monkeypatch, with_id_token)

    assert main(ARGV) == 1
    assert login_store().load() is None


TOKEN_ANSWERS = [
    ("an error", error("invalid_grant", f"the code {CODE} is spent, “sorry”"), "invalid_grant: the code … is spent"),
    ("a failure", httpx.Response(500, json=TOKENS), "answers 500"),
    ("a page", httpx.Response(200, text=f"<html>{ACCESS_TOKEN}"), "malformed"),
    ("a list", httpx.Response(200, json=[TOKENS]), "malformed"),
    ("a page that fails", httpx.Response(403, text="no"), "answers 403"),
    ("no access token", httpx.Response(200, json=TOKENS | {"access_token": None}), "no access token"),
    ("two words", httpx.Response(200, json=TOKENS | {"access_token": "a b"}), "no access token"),
    ("another kind", httpx.Response(200, json=TOKENS | {"token_type": "DPoP"}), "no bearer"),
    ("no ID token", httpx.Response(200, json=TOKENS), "no ID token"),
    ("nothing", httpx.ConnectError("refused"), "refused"),
]


@pytest.mark.parametrize(
    ("answer", "told"), [each[1:] for each in TOKEN_ANSWERS], ids=[each[0] for each in TOKEN_ANSWERS]
)
def test_a_token_endpoint_that_gives_nothing_is_told_in_one_line_without_secrets(
    answer: httpx.Response | Exception,
    told: str,
    issuer: FakeIssuer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    issuer.token_answers = [answer]
    coming_back(monkeypatch)

    code = main(ARGV)
    err = capsys.readouterr().err

    assert code == 1
    assert told in err.splitlines()[-1]
    assert shows_no_secret(err)
    assert login_store().load() is None


def test_who_takes_too_long_is_not_waited_for(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)

    assert main([*ARGV, "--timeout-seconds", "0.05"]) == 1
    assert capsys.readouterr().err.endswith("nobody has logged in within 0.05 s\n")


def test_a_port_that_is_taken_is_named(issuer: FakeIssuer, capsys: pytest.CaptureFixture[str]) -> None:
    from service.cli.oauth_redirect import redirect

    with redirect(0) as page:
        port = page.uri.rpartition(":")[2].partition("/")[0]

        assert main([*ARGV, "--redirect-port", port]) == 2
    assert f"127.0.0.1:{port} cannot be listened on" in capsys.readouterr().err


def test_without_an_issuer_the_login_is_as_the_last_one(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    coming_back(monkeypatch)
    main([*ARGV, "--scopes", "chat", "--resource", "https://cohort.test"])
    browser = coming_back(monkeypatch)

    assert main(["login"]) == 0
    assert (browser.parameters["scope"], browser.parameters["resource"]) == ("chat", "https://cohort.test")
    assert json.loads(login_store().file.read_text())["issuer"] == ISSUER


def test_the_first_login_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login"]) == 2
    assert capsys.readouterr().err == "where to log in? give --issuer and --client-id\n"

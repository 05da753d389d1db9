"""The page that `cohort login` has the browser come back to: one answer, and of this login."""

import webbrowser

import httpx
import pytest

from service.cli import main
from tests.unit.cli.fake_issuer import CODE, Browser, FakeIssuer
from tests.unit.cli.login_browsing import ARGV, at_home, coming_back, issuer

__all__ = ["at_home", "issuer"]


def test_one_answer_is_taken_and_none_after_it(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(lambda asked: {"code": CODE, "state": asked["state"]})

    def twice(url: str) -> bool:
        browser.open(url)
        browser.get({"code": "another", "state": browser.parameters["state"]})
        return True

    monkeypatch.setattr(webbrowser, "open", twice)
    code = main([*ARGV, "--scopes", "chat"])

    assert code == 0
    assert browser.statuses == [200, 410]
    assert "can be closed" in browser.page
    assert CODE not in browser.page
    assert [form["code"] for form in issuer.sent("/token")] == [CODE]
    with pytest.raises(httpx.ConnectError):
        browser.get({"code": CODE, "state": browser.parameters["state"]})


def test_who_does_not_know_the_state_neither_ends_a_login_nor_gives_it_a_code(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(lambda asked: {"code": CODE, "state": asked["state"]})

    def after_others(url: str) -> bool:
        browser.url = url
        for wrong in ({"state": "x" * 43}, {}, {"state": "x", "error": "access_denied"}):
            browser.get({"code": "evil", **wrong})
        return browser.open(url)

    monkeypatch.setattr(webbrowser, "open", after_others)

    assert main([*ARGV, "--scopes", "chat"]) == 0
    assert browser.statuses == [400, 400, 400, 200]
    assert [form["code"] for form in issuer.sent("/token")] == [CODE]


def test_a_login_to_which_only_others_come_back_ends_with_its_time(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coming_back(monkeypatch, lambda answer: answer | {"state": "x"})

    assert main([*ARGV, "--scopes", "chat", "--timeout-seconds", "0.05"]) == 1
    assert capsys.readouterr().err.endswith("nobody has logged in within 0.05 s\n")
    assert issuer.forms == []


def test_other_pages_are_not_found_and_end_nothing(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(lambda asked: {"code": CODE, "state": asked["state"]})
    favicon = []

    def with_favicon(url: str) -> bool:
        browser.url = url
        elsewhere = browser.parameters["redirect_uri"].replace("/callback", "/favicon.ico")
        favicon.append(httpx.get(elsewhere, trust_env=False).status_code)
        return browser.open(url)

    monkeypatch.setattr(webbrowser, "open", with_favicon)

    assert main([*ARGV, "--scopes", "chat"]) == 0
    assert favicon == [404]

"""Logging in with a browser of the tests, which comes back with what a test wants."""

import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.fake_issuer import CLIENT, CODE, ISSUER, Browser, FakeIssuer, installed

ARGV = ["login", "--issuer", ISSUER, "--client-id", CLIENT]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("BROWSER", "a browser of the tests")
    monkeypatch.setattr(webbrowser, "get", lambda: None)


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    return installed(FakeIssuer(), monkeypatch)


def coming_back(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, str]], dict[str, str]] = lambda answer: answer
) -> Browser:
    browser = Browser(lambda asked: change({"code": CODE, "state": asked["state"]}))
    monkeypatch.setattr(webbrowser, "open", browser.open)
    return browser

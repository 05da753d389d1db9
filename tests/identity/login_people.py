"""A person at a terminal, for the tests of `cohort login`: runs commands, and follows the browser's part of them."""

import os
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.cli.token_store import Login, LoginStore
from tests.idp.idp import CLI, Idp
from tests.idp.people import sign_in

ROOT = Path(__file__).parents[2]


def login_argv(idp: Idp, *flags: str) -> list[str]:
    """The command that logs in at the provider of the tests."""
    return ["login", "--issuer", idp.issuer, "--client-id", CLI.id, *flags]


def browsing(monkeypatch: pytest.MonkeyPatch, follow: Callable[[str], str] = sign_in) -> None:
    """Has the browser that a login opens signed in with, and sent back to this machine."""

    def browse(url: str) -> None:
        httpx.get(follow(url), trust_env=False, verify=False)

    def opened(url: str) -> bool:
        threading.Thread(target=browse, args=(url,)).start()
        return True

    monkeypatch.setenv("BROWSER", "a browser of the tests")
    monkeypatch.setattr(webbrowser, "get", lambda: None)
    monkeypatch.setattr(webbrowser, "open", opened)


@dataclass
class Home:
    """Where a person's config is."""

    folder: Path

    @property
    def store(self) -> LoginStore:
        return LoginStore(self.folder / "cohort")

    @property
    def login(self) -> Login:
        login = self.store.load()
        assert login is not None
        return login

    def expire(self) -> Login:
        """Lets the access token be of the past; returns the login as it is then."""
        self.store.save(self.login.model_copy(update={"expires_at_s": 1}))
        return self.login

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Starts a command in a process of its own."""
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.folder), "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"}
        return subprocess.Popen(
            [sys.executable, "-m", "service.cli", *argv],
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home without a credential in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.delenv("COHORT_ACCESS_KEY", raising=False)
    return Home(folder)

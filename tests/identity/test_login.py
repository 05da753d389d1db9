"""`cohort login` at a real provider, and what the login is good for: calls to a real Cohort, until the logout."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli import main, oauth_device
from tests.e2e.cohort_service import cohort
from tests.identity.login_people import Home, browsing, home, login_argv
from tests.idp.idp import CLI, RS256, Idp
from tests.idp.people import approve_device, refuse

__all__ = ["home"]

SCOPES = "openid offline_access chat usage:read"
NOBODY = "127.0.0.1:1"
BLOCKED_S = 10.0


def issuer_lines(idp: Idp) -> str:
    return (
        f'[identity.issuers.company]\nissuer = "{idp.issuer}"\nprivate_addresses = true\n'
        'scopes = { chat = ["chat"], "usage:read" = ["usage:read"] }\n'
    )


async def run(*argv: str) -> int:
    """Runs a command beside the service of this process."""
    return await asyncio.to_thread(main, [*argv])


async def test_a_person_logs_in_calls_and_logs_out(
    idp: Idp, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    browsing(monkeypatch)
    async with cohort(tmp_path, more=issuer_lines(idp)) as service:
        assert await run(*login_argv(idp, "--scopes", SCOPES, "--resource", RS256)) == 0
        assert capfd.readouterr().out == f"Logged in at {idp.issuer} as ada. The tokens are in {home.store.file}.\n"
        first = home.login

        assert await run("whoami", "--target", service.target) == 0
        assert f"{service.target} takes you for a caller of the team demo." in capfd.readouterr().out
        assert await run("call", "chat", "Hi", "--target", service.target) == 0
        assert await run("usage", "--target", service.target) == 0
        assert (service.lines()[-1]["team"], service.lines()[-1]["principal"]) == ("demo", "ada")

        requests = idp.requests("/token")
        home.expire()
        assert await run("call", "chat", "Hi again", "--target", service.target) == 0
        assert await run("call", "chat", "And again", "--target", service.target) == 0
        assert idp.requests("/token") == requests + 1
        second = home.login
        assert second.access_token != first.access_token
        assert second.refresh_token != first.refresh_token

        shown = capfd.readouterr()
        assert await run("logout") == 0
        assert await run("usage", "--target", service.target) == 2
    assert home.store.load() is None
    assert refreshed(idp, second.refresh_token) == 400
    everything = "".join((*shown, *capfd.readouterr(), service.log.getvalue().decode()))
    for login in (first, second):
        for secret in (login.access_token, login.refresh_token):
            assert secret
            assert secret not in everything
            assert secret[len(secret) // 2 :] not in everything


def refreshed(idp: Idp, refresh_token: str | None) -> int:
    """What the provider says to a refresh token."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": CLI.id}
    return idp.http.post(f"{idp.issuer}/token", data=form).status_code


async def test_a_login_without_a_scope_is_known_and_refused(
    idp: Idp, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    browsing(monkeypatch)
    async with cohort(tmp_path, more=issuer_lines(idp)) as service:
        assert await run(*login_argv(idp, "--scopes", "openid offline_access chat", "--resource", RS256)) == 0
        capfd.readouterr()

        assert await run("whoami", "--target", service.target) == 0
        assert "knows you" in capfd.readouterr().out
        assert await run("usage", "--target", service.target) == 1
        assert "SCOPE_MISSING" in capfd.readouterr().err


async def test_a_login_that_cohort_does_not_trust_is_refused(
    idp: Idp, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    browsing(monkeypatch)
    async with cohort(tmp_path) as service:
        assert await run(*login_argv(idp, "--scopes", "openid chat", "--resource", RS256)) == 0

        assert await run("whoami", "--target", service.target) == 1
    assert "refuses you: CREDENTIAL_REJECTED" in capfd.readouterr().err


def test_who_declines_is_not_logged_in(
    idp: Idp, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    browsing(monkeypatch, refuse)

    assert main(login_argv(idp, "--scopes", SCOPES, "--resource", RS256)) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{idp.issuer} refuses: access_denied")
    assert home.store.load() is None


def test_a_person_logs_in_on_another_device(
    idp: Idp, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = Times(lambda: entered(capsys.readouterr().err))
    monkeypatch.setattr(oauth_device, "time", times)

    assert main(login_argv(idp, "--device", "--scopes", SCOPES, "--resource", RS256)) == 0
    assert times.slept == 2
    assert home.login.subject == "ada"
    assert home.login.scopes == ("chat", "usage:read")


class Times:
    """Instead of waiting: at the second time the person has entered the code."""

    def __init__(self, enter: Callable[[], None]) -> None:
        self.slept = 0
        self._enter = enter

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, _: float, /) -> None:
        self.slept += 1
        if self.slept == 2:
            self._enter()


def entered(shown: str) -> None:
    words = shown.split()
    approve_device(next(word for word in words if word.startswith("http")), words[words.index("enter") + 1])


def test_a_login_that_was_revoked_elsewhere_asks_for_another_and_is_kept(
    idp: Idp, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    browsing(monkeypatch)
    main(login_argv(idp, "--scopes", SCOPES, "--resource", RS256))
    login = home.expire()
    idp.http.post(
        f"{idp.issuer}/token/revocation", data={"token": login.refresh_token, "client_id": CLI.id}
    ).raise_for_status()

    assert main(["usage", "--target", NOBODY]) == 2
    assert capsys.readouterr().err.endswith(f"the login at {idp.issuer} has ended: `cohort login` again\n")
    assert home.login == login


def test_a_logout_works_without_the_issuer(
    own_idp: Idp, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    browsing(monkeypatch)
    main(login_argv(own_idp, "--scopes", SCOPES, "--resource", RS256))
    own_idp.stop()

    assert main(["logout"]) == 0
    assert capsys.readouterr().err.count("was not revoked") == 2
    assert home.store.load() is None


def test_two_commands_at_once_spend_a_refresh_token_once(idp: Idp, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    browsing(monkeypatch)
    main(login_argv(idp, "--scopes", SCOPES, "--resource", RS256))
    before = home.expire()
    requests = idp.requests("/token")

    with home.store.locked():
        commands = [home.start("whoami", "--target", NOBODY) for _ in range(2)]
        wait_until_blocked({command.pid for command in commands})
    answers = [command.communicate(timeout=30) for command in commands]

    assert [command.returncode for command in commands] == [0, 0], answers
    assert idp.requests("/token") == requests + 1
    after = home.login
    assert after.refresh_token != before.refresh_token
    # Had the old one been spent twice, the provider would have taken the new one back as well.
    assert refreshed(idp, after.refresh_token) == 200
    assert not any(str(secret) in str(answers) for secret in (after.access_token, after.refresh_token))


def wait_until_blocked(pids: set[int]) -> None:
    """Returns when each of the processes waits for a lock, as the kernel says."""
    until_s = time.monotonic() + BLOCKED_S
    while time.monotonic() < until_s:
        waiting = {int(line.split()[5]) for line in Path("/proc/locks").read_text().splitlines() if "->" in line}
        if pids <= waiting:
            return
        time.sleep(0.02)
    raise AssertionError("they do not wait for the lock")


def test_an_issuer_that_is_not_there_is_told(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "--issuer", f"http://{NOBODY}", "--client-id", CLI.id]) == 1
    assert capsys.readouterr().err.startswith(f"http://{NOBODY} does not answer: ")

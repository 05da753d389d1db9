"""A stored login in use: when it is renewed and how that fails; and its end by `cohort logout`."""

import time
from pathlib import Path

import httpx
import pytest

from service.cli import main
from service.cli.commands import CommandFailed
from service.cli.login_bearer import LoginBearer
from service.cli.token_store import Login, LoginStore, login_store
from tests.unit.cli.fake_issuer import (
    ACCESS_TOKEN,
    CLIENT,
    ISSUER,
    REFRESH_TOKEN,
    TOKENS,
    FakeIssuer,
    error,
    installed,
    shows_no_secret,
)

REVOKED = error("invalid_grant", "the refresh token was revoked")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoginStore:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return login_store()


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    issuer = installed(FakeIssuer(), monkeypatch)
    issuer.token_answers = [httpx.Response(200, json=TOKENS | {"access_token": "renewed", "refresh_token": "rotated"})]
    return issuer


def kept(store: LoginStore, left_s: float | None, refresh_token: str | None = REFRESH_TOKEN) -> Login:
    login = Login(
        issuer=ISSUER,
        client_id=CLIENT,
        scopes_asked=("openid", "chat"),
        resource="https://cohort.test",
        token_endpoint="https://issuer.test/token",
        revocation_endpoint="https://issuer.test/revoke",
        scopes=("chat",),
        expires_at_s=None if left_s is None else int(time.time() + left_s),
        access_token=ACCESS_TOKEN,
        refresh_token=refresh_token,
    )
    store.save(login)
    return login


def loaded(store: LoginStore) -> Login:
    login = store.load()
    assert login is not None
    return login


@pytest.mark.parametrize("left_s", [3600, 70, None])
def test_an_access_token_with_time_left_is_used_as_it_is(
    left_s: float | None, store: LoginStore, issuer: FakeIssuer
) -> None:
    bearer = LoginBearer(store, kept(store, left_s))

    assert bearer() == ACCESS_TOKEN
    assert issuer.forms == []


@pytest.mark.parametrize("left_s", [50, 0, -3600])
def test_one_with_less_than_a_minute_left_is_renewed_and_kept(
    left_s: float, store: LoginStore, issuer: FakeIssuer
) -> None:
    bearer = LoginBearer(store, kept(store, left_s))

    assert [bearer(), bearer()] == ["renewed", "renewed"]
    assert issuer.sent("/token") == [
        {
            "grant_type": "refresh_token",
            "client_id": CLIENT,
            "refresh_token": REFRESH_TOKEN,
            "resource": "https://cohort.test",
        }
    ]
    login = loaded(store)
    assert (login.access_token, login.refresh_token) == ("renewed", "rotated")
    assert login.expires_at_s == pytest.approx(time.time() + 3600, abs=100)


def test_a_login_is_renewed_again_when_its_time_comes_again(store: LoginStore, issuer: FakeIssuer) -> None:
    short = TOKENS | {"access_token": "renewed", "refresh_token": "rotated", "expires_in": 30}
    issuer.token_answers = [httpx.Response(200, json=short)]
    bearer = LoginBearer(store, kept(store, 0))
    bearer()
    bearer()

    assert [form["refresh_token"] for form in issuer.sent("/token")] == [REFRESH_TOKEN, "rotated"]


def test_an_issuer_that_does_not_rotate_leaves_the_refresh_token_and_the_scopes(
    store: LoginStore, issuer: FakeIssuer
) -> None:
    issuer.token_answers = [httpx.Response(200, json={"access_token": "renewed", "token_type": "bearer"})]
    LoginBearer(store, kept(store, 0))()

    login = loaded(store)
    assert (login.refresh_token, login.scopes, login.expires_at_s) == (REFRESH_TOKEN, ("chat",), None)


def test_what_another_command_has_renewed_is_taken_without_asking(store: LoginStore, issuer: FakeIssuer) -> None:
    bearer = LoginBearer(store, kept(store, 0))
    store.save(loaded(store).model_copy(update={"access_token": "theirs", "expires_at_s": int(time.time() + 3600)}))

    assert bearer() == "theirs"
    assert issuer.forms == []


def test_a_refresh_token_that_was_revoked_asks_for_a_login_and_removes_nothing(
    store: LoginStore, issuer: FakeIssuer
) -> None:
    issuer.token_answers = [REVOKED]
    login = kept(store, -1)

    with pytest.raises(CommandFailed, match="has ended: `cohort login` again") as failed:
        LoginBearer(store, login)()

    assert failed.value.exit_code == 2
    assert store.load() == login


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(500), "answers 500"),
        (httpx.ConnectError("refused"), "refused"),
        (error("invalid_scope", f"not for {REFRESH_TOKEN}"), "invalid_scope: not for …"),
    ],
    ids=["500", "nothing", "refusal"],
)
def test_an_issuer_that_does_not_renew_is_told_and_nothing_is_removed(
    answer: httpx.Response | Exception, told: str, store: LoginStore, issuer: FakeIssuer
) -> None:
    issuer.token_answers = [answer]
    login = kept(store, -1)

    with pytest.raises(CommandFailed, match=told) as failed:
        LoginBearer(store, login)()

    assert shows_no_secret(str(failed.value))
    assert store.load() == login


@pytest.mark.parametrize("answer", [httpx.Response(500), REVOKED], ids=["500", "revoked"])
def test_while_it_has_not_expired_an_access_token_is_used_all_the_same(
    answer: httpx.Response, store: LoginStore, issuer: FakeIssuer
) -> None:
    issuer.token_answers = [answer]

    assert LoginBearer(store, kept(store, 40))() == ACCESS_TOKEN


@pytest.mark.parametrize("left_s", [40, -1])
def test_without_a_refresh_token_a_login_ends_with_its_access_token(
    left_s: float, store: LoginStore, issuer: FakeIssuer
) -> None:
    bearer = LoginBearer(store, kept(store, left_s, refresh_token=None))

    if left_s > 0:
        assert bearer() == ACCESS_TOKEN
    else:
        with pytest.raises(CommandFailed, match="has expired: `cohort login` again"):
            bearer()
    assert issuer.forms == []


def test_whoever_has_logged_out_meanwhile_is_logged_out(store: LoginStore, issuer: FakeIssuer) -> None:
    bearer = LoginBearer(store, kept(store, 0))
    store.delete(loaded(store))

    with pytest.raises(CommandFailed, match="`cohort login` again"):
        bearer()


# cohort logout


def test_a_logout_revokes_the_refresh_token_first_and_forgets_both(
    store: LoginStore, issuer: FakeIssuer, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(store, 3600)

    assert main(["logout"]) == 0
    assert issuer.sent("/revoke") == [
        {"client_id": CLIENT, "token": REFRESH_TOKEN, "token_type_hint": "refresh_token"},
        {"client_id": CLIENT, "token": ACCESS_TOKEN, "token_type_hint": "access_token"},
    ]
    assert store.load() is None
    assert capsys.readouterr() == (f"Logged out of {ISSUER}.\n", "")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.ConnectError("refused"), "refused"),
        (httpx.Response(503), "answers 503"),
        (error("invalid_client", f"not with {REFRESH_TOKEN} or {ACCESS_TOKEN}"), "invalid_client"),
        (error("unsupported_token_type"), "it stays good until it expires"),
        (httpx.Response(404, text="no"), "answers 404"),
    ],
    ids=["offline", "503", "refusal", "unsupported", "404"],
)
def test_what_cannot_be_revoked_is_forgotten_with_a_warning(
    answer: httpx.Response | Exception,
    told: str,
    store: LoginStore,
    issuer: FakeIssuer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    issuer.revocation_answer = answer
    kept(store, 3600)

    code = main(["logout"])
    err = capsys.readouterr().err

    assert code == 0
    assert store.load() is None
    assert [line.startswith("warning: the ") and told in line for line in err.splitlines()] == [True, True]
    assert shows_no_secret(err)


def test_an_issuer_that_revokes_nothing_is_warned_of(
    store: LoginStore, issuer: FakeIssuer, capsys: pytest.CaptureFixture[str]
) -> None:
    store.save(kept(store, 3600).model_copy(update={"revocation_endpoint": None}))

    assert main(["logout"]) == 0
    assert "stay good until they expire" in capsys.readouterr().err
    assert (store.load(), issuer.forms) == (None, [])


def test_nobody_is_logged_out_twice(store: LoginStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logout"]) == 0
    assert capsys.readouterr().out == "Nobody is logged in.\n"

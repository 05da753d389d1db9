"""Where a login is kept: who may read it, and that it is whole or not there."""

import json
import os
import stat
from pathlib import Path

import pytest

from service.cli.commands import CommandFailed
from service.cli.token_store import Login, LoginStore, login_store

LOGIN = Login(
    issuer="https://issuer.test",
    client_id="cohort-cli",
    scopes_asked=("openid", "chat"),
    token_endpoint="https://issuer.test/token",
    subject="ada",
    scopes=("chat",),
    expires_at_s=1_800_000_000,
    access_token="access-secret",
    refresh_token="refresh-secret",
)


@pytest.fixture
def store(tmp_path: Path) -> LoginStore:
    return LoginStore(tmp_path / "config" / "cohort")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_saved_is_loaded(store: LoginStore) -> None:
    store.save(LOGIN)

    assert store.load() == LOGIN


def test_where_nothing_was_saved_nobody_is_logged_in(store: LoginStore) -> None:
    assert store.load() is None


def test_nobody_else_may_read_it_whatever_the_umask_is(store: LoginStore) -> None:
    umask = os.umask(0)
    try:
        store.save(LOGIN)
        with store.locked():
            pass
    finally:
        os.umask(umask)

    assert mode_of(store.file.parent) == 0o700
    assert {path.name: mode_of(path) for path in store.file.parent.iterdir()} == {
        "login.json": 0o600,
        "login.lock": 0o600,
    }


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_may_touch_is_refused(mode: int, store: LoginStore) -> None:
    store.save(LOGIN)
    store.file.chmod(mode)

    with pytest.raises(CommandFailed, match="may be read by others") as refused:
        store.load()

    assert refused.value.exit_code == 2


def test_a_file_of_someone_else_is_refused(store: LoginStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(LOGIN)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(CommandFailed, match="belongs to someone else"):
        store.load()
    with pytest.raises(CommandFailed, match="belongs to someone else"):
        store.save(LOGIN)


def test_a_folder_that_others_may_write_to_is_refused(store: LoginStore) -> None:
    store.save(LOGIN)
    store.file.parent.chmod(0o770)

    with pytest.raises(CommandFailed, match="others may write to it"):
        store.save(LOGIN)


def test_a_link_is_not_followed(store: LoginStore, tmp_path: Path) -> None:
    store.save(LOGIN)
    elsewhere = store.file.rename(tmp_path / "elsewhere")
    store.file.symlink_to(elsewhere)

    with pytest.raises(CommandFailed, match=r"login\.json"):
        store.load()
    store.save(LOGIN.model_copy(update={"access_token": "other"}))

    assert json.loads(elsewhere.read_text())["access_token"] == "access-secret"
    assert not store.file.is_symlink()


def test_a_pipe_in_its_place_is_no_file_and_blocks_nothing(store: LoginStore) -> None:
    store.file.parent.mkdir(parents=True)
    os.mkfifo(store.file, 0o600)

    with pytest.raises(CommandFailed, match="is no file"):
        store.load()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"access_token": "access-secret"}',
        LOGIN.model_dump_json().replace("access-s", "two s"),
    ],
)
def test_a_file_that_holds_something_else_is_told_without_quoting_it(text: str, store: LoginStore) -> None:
    store.save(LOGIN)
    store.file.write_text(text)

    with pytest.raises(CommandFailed, match="holds no login") as refused:
        store.load()

    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_save_that_fails_leaves_the_login_before_and_nothing_beside_it(
    store: LoginStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(LOGIN)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(CommandFailed, match="No space left on device"):
        store.save(LOGIN.model_copy(update={"access_token": "other"}))

    assert store.load() == LOGIN
    assert [path.name for path in store.file.parent.iterdir()] == ["login.json"]


def test_a_save_is_synced_before_it_replaces_the_login_before(
    store: LoginStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(LOGIN)
    kinds = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        kinds.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), json.loads(store.file.read_text())["access_token"]))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    store.save(LOGIN.model_copy(update={"access_token": "other"}))

    assert kinds == [(False, "access-secret"), (True, "other")]


def test_what_is_deleted_is_gone(store: LoginStore) -> None:
    store.save(LOGIN)
    store.delete(LOGIN)

    assert store.load() is None


def test_no_representation_shows_a_token() -> None:
    assert "secret" not in repr(LOGIN) + str(LOGIN) + f"{LOGIN!s}"


def test_the_place_is_the_one_of_the_desktops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    at_home = login_store().file
    monkeypatch.delenv("XDG_CONFIG_HOME")

    assert at_home == login_store().file == tmp_path / ".config" / "cohort" / "login.json"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert login_store().file == tmp_path / "xdg" / "cohort" / "login.json"

"""A login whose tokens are in the keyring: that they are only there, and what a keyring has to be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend

from service.cli.commands import CommandFailed
from service.cli.token_store import LoginStore
from tests.unit.cli.test_token_store import LOGIN


@pytest.fixture
def store(tmp_path: Path) -> LoginStore:
    return LoginStore(tmp_path / "config" / "cohort")


class MemoryKeyring(KeyringBackend):
    """Keeps what it is given, and works."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def test_with_the_keyring_the_file_holds_no_token(store: LoginStore, memory: MemoryKeyring) -> None:
    login = LOGIN.model_copy(update={"keyring": True})
    store.save(login)

    assert store.load() == login
    assert "secret" not in store.file.read_text()
    assert len(memory.entries) == 1
    described = store.described()
    assert described is not None
    assert described.access_token == ""


def test_what_is_deleted_is_gone_from_the_keyring_too(store: LoginStore, memory: MemoryKeyring) -> None:
    login = LOGIN.model_copy(update={"keyring": True})
    store.save(login)
    store.delete(login)

    assert (store.load(), memory.entries) == (None, {})


def test_a_login_in_the_file_leaves_none_in_the_keyring(store: LoginStore, memory: MemoryKeyring) -> None:
    store.save(LOGIN.model_copy(update={"keyring": True}))
    store.save(LOGIN)

    assert (store.load(), memory.entries) == (LOGIN, {})


def test_a_keyring_that_has_forgotten_asks_for_a_new_login(store: LoginStore, memory: MemoryKeyring) -> None:
    store.save(LOGIN.model_copy(update={"keyring": True}))
    memory.entries.clear()

    with pytest.raises(CommandFailed, match="has forgotten the login: `cohort login` again"):
        store.load()


@pytest.mark.parametrize("text", ["", "[]", '{"access_token": "a secret"}', '{"access_token": 7}'])
def test_a_keyring_that_holds_something_else_is_told_without_quoting_it(
    text: str, store: LoginStore, memory: MemoryKeyring
) -> None:
    store.save(LOGIN.model_copy(update={"keyring": True}))
    memory.entries = dict.fromkeys(memory.entries, text)

    with pytest.raises(CommandFailed, match="holds no login: `cohort login` again") as refused:
        store.load()

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
def test_a_keyring_that_keeps_nothing_is_refused(
    backend: type[KeyringBackend], store: LoginStore, memory: MemoryKeyring
) -> None:
    keyring.set_keyring(backend())

    with pytest.raises(CommandFailed, match="no keyring of the operating system can be reached"):
        store.save(LOGIN.model_copy(update={"keyring": True}))


def test_a_keyring_that_refuses_is_told_without_what_it_was_given(
    store: LoginStore, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str, __: str, password: str) -> None:
        raise RuntimeError(f"cannot keep {password}")

    monkeypatch.setattr(memory, "set_password", refuse)

    with pytest.raises(CommandFailed, match="the keyring refuses: RuntimeError") as refused:
        store.save(LOGIN.model_copy(update={"keyring": True}))

    assert "secret" not in str(refused.value)
    assert not store.file.exists()


def test_without_the_extra_it_is_named(
    store: LoginStore, monkeypatch: pytest.MonkeyPatch, memory: MemoryKeyring
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(CommandFailed, match=r"cohort\[keyring\]"):
        store.save(LOGIN.model_copy(update={"keyring": True}))

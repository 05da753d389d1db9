import datetime
import re
import stat
from pathlib import Path

import pytest

from clients.sandbox.keys import WELL_KNOWN, KeyState
from service.audit_keys import audit_keys_of
from service.cli.defaults import CHAT_MODEL
from service.cli.demo_folder import Addresses, DemoFolder, opened
from service.cli.demo_key import let_in
from service.config import ConfigError
from service.identity.scopes import SCOPES
from service.snapshot import snapshot_of
from tests.key_tables import access_keys_of

NOW = datetime.datetime.now(datetime.UTC)
NOWHERE_SPECIAL = Addresses()
SECRETS = ("pepper", "audit-hmac.key", "audit-signing.key", "access_key", "sandbox_key")


@pytest.fixture
def folder(tmp_path: Path) -> DemoFolder:
    return opened(tmp_path / ".cohort", NOWHERE_SPECIAL)


def texts(folder: DemoFolder) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.path.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_reads_the_folder_and_its_secrets(folder: DemoFolder) -> None:
    assert mode(folder.path) == 0o700
    assert {name: mode(folder.path / name) for name in SECRETS} == dict.fromkeys(SECRETS, 0o600)


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "real Cohere"])
async def test_both_configs_let_the_access_key_in_with_every_scope_that_opens_an_rpc(
    folder: DemoFolder,
    sandbox: bool,  # noqa: FBT001
) -> None:
    loaded = folder.config(sandbox=sandbox)

    await let_in(folder, loaded, NOW)
    who = access_keys_of(loaded).principal_of(folder.access_key(), NOW.timestamp())

    assert (who.team, who.scopes) == ("demo", SCOPES)


def test_the_real_config_reads_the_cohere_key_from_the_environment(folder: DemoFolder) -> None:
    config = folder.config(sandbox=False).config

    assert config.cohere.base_url == "https://api.cohere.com"
    assert config.teams["demo"].cohere_key == "env:CO_API_KEY"


def test_the_sandbox_config_holds_a_key_that_the_sandbox_accepts(folder: DemoFolder) -> None:
    loaded = folder.config(sandbox=True)
    active = {key.secret for key in WELL_KNOWN if key.state is KeyState.ACTIVE and not key.trial}

    assert loaded.config.cohere.base_url == "http://127.0.0.1:9465"
    assert loaded.secret(loaded.config.teams["demo"].cohere_key).read() in active


def test_every_model_of_the_demo_has_a_price(folder: DemoFolder) -> None:
    snapshot = snapshot_of(folder.config(sandbox=True))

    models = snapshot.loaded.config.teams["demo"].models
    assert CHAT_MODEL in models
    assert all(snapshot.price_book.price_of(model) for model in models)


def test_both_configs_have_working_audit_keys_and_books_of_their_own(folder: DemoFolder) -> None:
    real, local = folder.config(sandbox=False), folder.config(sandbox=True)

    assert audit_keys_of(real).hmac_key == audit_keys_of(local).hmac_key
    assert real.database_url() == f"sqlite:{folder.path / 'cohort.db'}"
    assert local.database_url() == f"sqlite:{folder.path / 'sandbox.db'}"
    assert real.config.audit.checkpoint_file != local.config.audit.checkpoint_file


def test_each_folder_has_secrets_of_its_own(folder: DemoFolder, tmp_path: Path) -> None:
    other = opened(tmp_path / "other", NOWHERE_SPECIAL)

    assert other.access_key() != folder.access_key()
    for name in SECRETS[:3]:
        assert texts(other)[name] != texts(folder)[name]


def test_the_second_time_nothing_is_changed(folder: DemoFolder) -> None:
    before = texts(folder)

    again = opened(folder.path, NOWHERE_SPECIAL)

    assert texts(again) == before


async def test_a_folder_whose_access_key_has_expired_is_refused(folder: DemoFolder) -> None:
    loaded = folder.config(sandbox=True)
    await let_in(folder, loaded, NOW)
    await let_in(folder, loaded, NOW + datetime.timedelta(days=364))

    with pytest.raises(ConfigError, match=r"expired access key .*: delete the folder"):
        await let_in(folder, loaded, NOW + datetime.timedelta(days=365))


async def test_a_folder_whose_books_were_deleted_lets_its_access_key_in_again(folder: DemoFolder) -> None:
    loaded = folder.config(sandbox=True)
    await let_in(folder, loaded, NOW)
    for file in folder.path.glob("sandbox.db*"):
        file.unlink()

    await let_in(folder, loaded, NOW)
    assert access_keys_of(loaded).principal_of(folder.access_key(), NOW.timestamp()).team == "demo"


@pytest.mark.parametrize("damaged", ["", "cohort_demo_x", "\u00e4"])
async def test_a_folder_whose_access_key_is_damaged_is_refused(folder: DemoFolder, damaged: str) -> None:
    folder.access_key_file.write_text(damaged)

    with pytest.raises(ConfigError, match="delete the folder"):
        await let_in(folder, folder.config(sandbox=True), NOW)


def test_an_empty_folder_is_filled_and_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)

    folder = opened(tmp_path / "empty", NOWHERE_SPECIAL)

    assert mode(folder.path) == 0o700
    assert folder.config(sandbox=True).config.environment == "demo"


@pytest.mark.parametrize("name", [*SECRETS, "cohort.toml", "sandbox.toml"])
def test_a_folder_that_lacks_a_file_is_refused_and_left_alone(folder: DemoFolder, name: str) -> None:
    (folder.path / name).unlink()
    before = texts(folder)

    with pytest.raises(ConfigError, match=re.escape(f"lacks {name}: delete the folder")):
        opened(folder.path, NOWHERE_SPECIAL)

    assert texts(folder) == before


def test_a_folder_that_cannot_be_made_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="file"):
        opened(tmp_path / "file" / ".cohort", NOWHERE_SPECIAL)


@pytest.mark.parametrize("second_time", [False, True], ids=["first time", "second time"])
def test_addresses_that_are_given_stand_in_the_configs(tmp_path: Path, second_time: bool) -> None:  # noqa: FBT001
    path = tmp_path / ".cohort"
    if second_time:
        opened(path, NOWHERE_SPECIAL)

    folder = opened(path, Addresses("127.0.0.1:1", "127.0.0.1:2", "[::1]:3"))
    real, local = folder.config(sandbox=False).config, folder.config(sandbox=True).config

    assert [each.server.listen for each in (real, local)] == ["127.0.0.1:1", "127.0.0.1:1"]
    assert [each.metrics.listen for each in (real, local)] == ["127.0.0.1:2", "127.0.0.1:2"]
    assert [each.cohere.base_url for each in (real, local)] == ["https://api.cohere.com", "http://[::1]:3"]


def test_an_address_that_is_given_changes_nothing_else(folder: DemoFolder) -> None:
    file = folder.path / "sandbox.toml"
    file.write_text(file.read_text().replace("[server]\n", "[server]\n# mine\nreflection = 'on'\n\n"))
    before = file.read_text()

    opened(folder.path, Addresses(listen="127.0.0.1:7"))

    assert file.read_text() == before.replace("127.0.0.1:50051", "127.0.0.1:7")


def test_a_config_that_was_rewritten_by_hand_is_not_guessed_at(folder: DemoFolder) -> None:
    file = folder.path / "cohort.toml"
    file.write_text(file.read_text().replace('listen = "127.0.0.1:50051"', "listen = '127.0.0.1:50051'"))
    before = file.read_text()

    with pytest.raises(ConfigError, match=r"cohort\.toml: server\.listen is not where"):
        opened(folder.path, Addresses(listen="127.0.0.1:7"))

    assert file.read_text() == before

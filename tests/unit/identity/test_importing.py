"""Access keys of an old config: which tables are taken, what of them is wrong, and how they come into the database."""

import datetime
from pathlib import Path

import orjson
import pytest

from service import config
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.config import Config, ConfigError
from service.identity.access_key_rows import LIFETIME_MAX_US
from service.identity.importing import import_keys, keys_in
from service.identity.place import FIRST
from service.identity.seals import Seals
from service.identity.stored_access_keys import list_access_keys
from service.storage.database import Database
from tests.unit.cli.configs import write_config

SEALS = Seals({"1": b"p" * 32})
HASH = "9f2c4e0b7a6d51388c1f4b2e9d7a6053c8e1f0a2b4d6978812e3c5f7a9b0d1e2"


def key_table(**settings: str) -> str:
    values = {
        "id": '"3vXr0aLkT9Qd"',
        "hash": f'"1:{HASH}"',
        "team": '"demo"',
        "name": '"tests"',
        "scopes": '["chat", "admin"]',
        "expires_at": "2030-01-01T00:00:00+02:00",
        **settings,
    }
    return "[[access_keys]]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())


@pytest.fixture
def loaded(tmp_path: Path) -> Config:
    return config.load(write_config(tmp_path)).config


def test_a_table_is_read_whatever_else_stands_in_its_file(loaded: Config) -> None:
    narrow = key_table(models='["m"]', max_tokens_per_call="7")
    (key,) = keys_in(f"[server]\nwhatever = 1\n{narrow}", loaded)

    assert (key.id, key.pepper_version, key.digest.hex()) == ("3vXr0aLkT9Qd", "1", HASH)
    assert (key.team, key.name, sorted(key.scopes)) == ("demo", "tests", ["admin", "chat"])
    assert (sorted(key.models), key.max_tokens_per_call) == (["m"], 7)
    assert key.expires_at_us == 1_893_448_800_000_000
    assert HASH not in repr(key)


def test_a_file_without_tables_has_no_keys(loaded: Config) -> None:
    assert keys_in("", loaded) == []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("not toml", ["not TOML"]),
        ("access_keys = 1", ["access_keys: is written as"]),
        ("access_keys = [1]", ["access_keys.0: "]),
        (key_table(id='"short"', hash='"1:AB"'), ["access_keys.0.id: String", "access_keys.0.hash: String"]),
        (key_table(name='"Has Spaces"'), ["access_keys.0.name: a name is"]),
        (key_table(scopes='["chat", "fly"]'), ["access_keys.0.scopes.1: Input should be"]),
        (key_table(scopes="[]"), ["access_keys.0.scopes: Frozenset should have"]),
        (key_table(expires_at="2030-01-01T00:00:00"), ["access_keys.0: expires_at needs a time zone"]),
        (key_table(secret='"secret-1"'), ["access_keys.0.secret: Extra inputs"]),
        (
            key_table(team='"other"') + key_table(hash=f'"2:{HASH}"'),
            ["access_keys.0.team: no team", "access_keys.1.id: another access key", "access_keys.1.hash: no pepper"],
        ),
    ],
    ids=range(10),
)
def test_everything_that_is_wrong_is_told_at_once_and_no_value_repeated(
    loaded: Config, text: str, problems: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        keys_in(text, loaded)

    assert len(refused.value.problems) == len(problems)
    for told, expected in zip(refused.value.problems, problems, strict=True):
        assert told.startswith(expected)
    assert "secret-1" not in str(refused.value)


async def test_keys_are_imported_once_with_a_notice_and_told_to_every_replica(
    database: Database, loaded: Config
) -> None:
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    books = Books(database, committer)
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)).isoformat()
    first, other = key_table(expires_at=soon), key_table(id='"Zk81mWq4bYt7"', expires_at=soon)
    both = first + other
    taken = [await books.change(import_keys(keys_in(text, loaded), "ada", SEALS)) for text in (first, both, both, "")]
    page = await books.read(lambda tx: list_access_keys(tx, "", "", 9, FIRST))
    ((version,),) = await books.read(lambda tx: tx.fetch("SELECT version FROM identity_version"))
    bodies = await books.read(lambda tx: tx.fetch("SELECT body FROM audit WHERE kind = 'notice' ORDER BY at_us, seq"))
    await committer.close(5.0)
    notices = [notice for (body,) in bodies if (notice := orjson.loads(body))["event"] != "writer_started"]

    assert taken == [(["3vXr0aLkT9Qd"], []), (["Zk81mWq4bYt7"], []), ([], []), ([], [])]
    assert [(key.id, key.state, key.created_by) for key in page.keys] == [
        ("3vXr0aLkT9Qd", "ACTIVE", "ada"), ("Zk81mWq4bYt7", "ACTIVE", "ada"),
    ]  # fmt: skip
    assert version == 3
    assert notices == [
        {"event": "access_keys_imported", "ids": ids, "cut": [], "principal": "ada"} for ids, _ in taken[:2]
    ]


async def test_no_imported_key_lives_longer_than_one_that_is_made(database: Database, loaded: Config) -> None:
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    books = Books(database, committer)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    year, long = (now + datetime.timedelta(days=days) for days in (364, 3650))
    text = key_table(expires_at=year.isoformat()) + key_table(id='"Zk81mWq4bYt7"', expires_at=long.isoformat())
    imported = await books.change(import_keys(keys_in(text, loaded), "ada", SEALS))
    page = await books.read(lambda tx: list_access_keys(tx, "", "", 9, FIRST))
    await committer.close(5.0)
    kept, cut = page.keys

    assert imported == (["3vXr0aLkT9Qd", "Zk81mWq4bYt7"], ["Zk81mWq4bYt7"])
    assert kept.expires_at_us == int(year.timestamp()) * 1_000_000
    assert cut.expires_at_us == cut.grant_expires_at_us == cut.created_at_us + LIFETIME_MAX_US

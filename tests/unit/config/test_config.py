"""Fixtures say in their name whether they load; a busted one begins with every problem that must be told."""

import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from service import address, config
from service.config import Config, ConfigError

FIXTURES = Path(__file__).parent / "fixtures"
WORKING = sorted(FIXTURES.glob("working_*.toml"))
BUSTED = sorted(FIXTURES.glob("busted_*.toml"))


def named(file: Path) -> str:
    return file.stem


@pytest.mark.parametrize("file", WORKING, ids=named)
def test_a_working_config_loads(file: Path) -> None:
    assert config.load(file, {}).config.teams


@pytest.mark.parametrize("file", BUSTED, ids=named)
def test_a_busted_config_is_refused_with_every_problem_and_its_path(file: Path) -> None:
    expected = [
        line.removeprefix("# problem: ").replace("{file}", str(file))
        for line in file.read_text().splitlines()
        if line.startswith("# problem: ")
    ]

    with pytest.raises(ConfigError) as refused:
        config.load(file, {})

    assert expected
    assert "; ".join(refused.value.problems) == "; ".join(expected)


@pytest.mark.parametrize("file", BUSTED, ids=named)
def test_no_problem_repeats_what_may_be_a_secret(file: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        config.load(file, {})

    assert "secret-" not in str(refused.value)
    assert "user:secret" not in str(refused.value)


def test_every_fixture_says_what_it_is() -> None:
    assert sorted([*WORKING, *BUSTED]) == sorted(FIXTURES.iterdir())


def test_the_config_of_everything_leaves_no_setting_at_its_default() -> None:
    loaded = config.load(FIXTURES / "working_everything.toml", {}).config

    assert unset(loaded, "") == []


def unset(section: BaseModel, path: str) -> list[str]:
    """The settings of a section, and of those within it, that a file did not set."""
    found = [f"{path}{name}" for name in type(section).model_fields if name not in section.model_fields_set]
    for name in section.model_fields_set:
        value = getattr(section, name)
        children = (
            [value]
            if isinstance(value, BaseModel)
            else value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, tuple)
            else []
        )
        for child in children:
            if isinstance(child, BaseModel):
                found += unset(child, f"{path}{name}.")
    return found


def test_a_config_without_a_setting_takes_the_safe_default() -> None:
    loaded = config.load(FIXTURES / "working_minimal.toml", {}).config

    assert loaded.server.listen == "127.0.0.1:50051"
    assert not loaded.server.plaintext_off_loopback
    assert loaded.metrics.listen == "127.0.0.1:9464"
    assert loaded.cohere.base_url == "https://api.cohere.com"


def test_relative_paths_count_from_the_folder_of_the_file() -> None:
    loaded = config.load(FIXTURES / "working_everything.toml", {})
    tls = loaded.config.server.tls

    assert tls is not None
    assert loaded.path(tls.certificate_file) == FIXTURES / "tls" / "server.crt"
    assert loaded.path(tls.private_key_file) == Path("/etc/cohort/server.key")
    assert loaded.secret("file:keys/a").path == FIXTURES / "keys" / "a"
    assert loaded.secret("file:/run/key").path == Path("/run/key")


def test_an_environment_reference_reads_the_environment_that_was_given() -> None:
    loaded = config.load(FIXTURES / "working_minimal.toml", {"CO_API_KEY": "co-key"})

    assert loaded.secret("env:CO_API_KEY").read() == "co-key"


def test_a_missing_file_is_one_problem_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        config.load(tmp_path / "no.toml", {})

    assert refused.value.problems == [f"{tmp_path}/no.toml: No such file or directory"]


def test_a_file_that_is_no_text_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"binary\.toml: not TOML"):
        config.load(tmp_path / "binary.toml", {})


def test_a_loaded_config_cannot_be_changed() -> None:
    loaded = config.load(FIXTURES / "working_minimal.toml", {}).config

    with pytest.raises(ValueError, match="frozen"):
        loaded.environment = "other"


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({}, "/etc/cohort/cohort.toml"),
        ({"COHORT_CONFIG": ""}, "/etc/cohort/cohort.toml"),
        ({"COHORT_CONFIG": "/run/cohort.toml"}, "/run/cohort.toml"),
    ],
)
def test_the_environment_may_say_where_the_config_lies(environ: dict[str, str], file: str) -> None:
    assert config.config_file(environ) == Path(file)


@pytest.mark.parametrize(("environ", "value"), [({}, None), ({"NAME": ""}, None), ({"NAME": "x"}, "x")])
def test_an_empty_variable_counts_as_unset(environ: dict[str, str], value: str | None) -> None:
    assert config.environment_variable("NAME", environ) == value


def test_every_scope_of_the_rpcs_can_be_given_to_an_access_key() -> None:
    from service.identity.scopes import SCOPES_OF_RPC

    assert {scope for scopes in SCOPES_OF_RPC.values() for scope in scopes} <= set(typing.get_args(config.Scope))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("ip6-localhost", False),
        ("", False),
    ],
)
def test_only_this_machines_own_addresses_are_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001
    assert address.is_loopback(host) == loopback


def test_the_host_of_an_ipv6_address_comes_without_brackets() -> None:
    assert address.host_of("[::1]:50051") == "::1"


def test_every_section_refuses_unknown_keys_and_changes() -> None:
    for section in sections(Config):
        assert section.model_config["extra"] == "forbid", section
        assert section.model_config["frozen"], section


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        for inner in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found += sections(inner)
    return found

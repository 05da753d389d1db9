"""From a config to the sources of its teams' keys."""

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from clients.errors import SecretMissing
from clients.secrets.key_source import KeySource, Secret
from service import config
from service.cli.check import checked
from service.cohere_keys.sources import KeySources
from service.config import ConfigError, LoadedConfig
from tests.unit.cli.configs import write_config

EVERY = Path(__file__).parents[1] / "config" / "fixtures" / "working_every_source.toml"


class Held:
    """Stands for what Cohort keeps itself."""

    kind = "held"
    path = None

    def __init__(self, team: str) -> None:
        self.reference = "held:"
        self.team = team

    async def read(self) -> Secret:
        return Secret("held")

    async def read_previous(self) -> Secret | None:
        return None


Made = Callable[[LoadedConfig], KeySources]


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    all_made: list[KeySources] = []

    def make(loaded: LoadedConfig) -> KeySources:
        all_made.append(KeySources(loaded, Held))
        return all_made[-1]

    yield make
    for sources in all_made:
        await sources.close()


async def test_every_kind_of_reference_has_its_source(made: Made) -> None:
    loaded = config.load(EVERY, {})
    sources = made(loaded).of(loaded)

    assert {team: source.kind for team, source in sources.items()} == {
        "env": "env", "file": "file", "vault": "vault", "aws": "aws-sm", "aws-arn": "aws-sm", "gcp": "gcp-sm",
        "azure": "azure-kv", "held": "held",
    }  # fmt: skip
    assert {team: source.reference for team, source in sources.items()} == {
        name: team.cohere_key for name, team in loaded.config.teams.items()
    }
    assert isinstance(sources["held"], Held)
    assert sources["held"].team == "held"
    assert [source.path for source in sources.values() if source.path] == [EVERY.parent / "cohere.key"]


async def test_teams_of_one_store_share_its_connections(made: Made) -> None:
    loaded = config.load(EVERY, {})
    sources = made(loaded).of(loaded)
    stores = [getattr(sources[team], "_secrets", None) for team in ("aws", "aws-arn")]

    assert stores[0] is stores[1] is not None


async def test_teams_whose_key_cohort_keeps_are_left_out_by_who_has_no_database() -> None:
    loaded = config.load(EVERY, {})
    sources = KeySources(loaded)

    assert "held" not in sources.of(loaded)
    await sources.close()


MODULES = {"vault": "hvac", "aws": "boto3.session", "gcp": "google.auth", "azure": "azure.identity.aio"}


def without(extras: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As if these were not installed."""
    for extra in extras:
        monkeypatch.setitem(sys.modules, MODULES[extra], None)
        for module in [name for name in sys.modules if name.startswith(f"clients.secrets.{extra}")]:
            monkeypatch.delitem(sys.modules, module)
    importlib.invalidate_caches()


async def test_a_client_that_is_not_installed_is_named_with_its_extra_all_at_once(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(list(MODULES), monkeypatch)
    loaded = config.load(EVERY, {})
    with pytest.raises(ConfigError) as refused:
        made(loaded).of(loaded)

    assert refused.value.problems == [
        "teams.vault.cohere_key: vault: install cohort[vault]",
        "teams.aws.cohere_key: aws-sm: install cohort[aws]",
        "teams.aws-arn.cohere_key: aws-sm: install cohort[aws]",
        "teams.gcp.cohere_key: gcp-sm: install cohort[gcp]",
        "teams.azure.cohere_key: azure-kv: install cohort[azure]",
    ]


def test_cohort_check_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(["vault"], monkeypatch)
    file = write_config(
        tmp_path, more='[secrets.vault]\naddress = "http://127.0.0.1:1"\nauth = "kubernetes"\nrole = "cohort"\n'
    )
    file.write_text(file.read_text().replace('"file:demo.key"', '"vault:cohere/demo#api_key"'))
    with pytest.raises(ConfigError) as refused:
        checked(config.load(file, {}))

    assert refused.value.problems == ["teams.demo.cohere_key: vault: install cohort[vault]"]


def test_no_client_is_imported_before_a_config_names_it() -> None:
    script = "import sys, service.server, service.cli.main; print([name for name in sys.argv if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", script, *MODULES.values()], check=True, capture_output=True)

    assert printed.stdout == b"[]\n"


async def test_a_second_reference_holds_the_version_before(made: Made, tmp_path: Path) -> None:
    file = write_config(tmp_path, team='cohere_key_previous = "env:BEFORE"')
    loaded = config.load(file, {"BEFORE": "co-before"})
    source = made(loaded).of(loaded)["demo"]
    previous = await source.read_previous()

    assert previous is not None
    assert ((await source.read()).reveal(), previous.reveal()) == ("co-demo", "co-before")
    assert (source.kind, source.reference, source.path) == ("file", "file:demo.key", tmp_path / "demo.key")


@pytest.mark.parametrize("reference", ["env:GONE", "file:gone"])
async def test_a_second_reference_may_hold_nothing(made: Made, tmp_path: Path, reference: str) -> None:
    loaded = config.load(write_config(tmp_path, team=f'cohere_key_previous = "{reference}"'), {})

    assert await made(loaded).of(loaded)["demo"].read_previous() is None


@pytest.mark.parametrize("written", ["co-demo", "co-demo\n", "co-demo\r\n"])
async def test_of_a_file_one_line_end_is_not_part(made: Made, tmp_path: Path, written: str) -> None:
    loaded = config.load(write_config(tmp_path), {})
    (tmp_path / "demo.key").write_text(written, newline="")

    assert (await made(loaded).of(loaded)["demo"].read()).reveal() == "co-demo"


@pytest.mark.parametrize("written", [" co-demo ", '"co-demo"', "co-demo\n\n", "k\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_all_else_in_a_file_is_for_others_to_judge(made: Made, tmp_path: Path, written: str) -> None:
    loaded = config.load(write_config(tmp_path), {})
    (tmp_path / "demo.key").write_text(written, encoding="latin-1")
    read = (await made(loaded).of(loaded)["demo"].read()).reveal()

    assert read == (written.removesuffix("\n") if written.endswith("\n") else written)


@pytest.mark.parametrize(
    ("written", "problem"),
    [(None, "there is no such file"), ("", "empty"), ("\n", "empty"), ("k" * 5000, "longer than 4096 bytes")],
)
async def test_a_file_without_a_key_is_missing_one(
    made: Made, tmp_path: Path, written: str | None, problem: str
) -> None:
    loaded = config.load(write_config(tmp_path), {})
    (tmp_path / "demo.key").unlink()
    if written is not None:
        (tmp_path / "demo.key").write_text(written)
    source: KeySource = made(loaded).of(loaded)["demo"]
    with pytest.raises(SecretMissing) as missing:
        await source.read()

    assert str(missing.value) == f"file:demo.key: {problem}"


async def test_a_store_that_was_not_there_at_the_start_needs_a_restart(made: Made, tmp_path: Path) -> None:
    sources = made(config.load(write_config(tmp_path), {}))
    with pytest.raises(ConfigError) as refused:
        sources.of(config.load(EVERY, {}))

    assert "secrets.vault: a change needs a restart" in refused.value.problems

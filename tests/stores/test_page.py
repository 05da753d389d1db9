"""docs/key-sources.md: its config is taken, and what it says to do in a Vault makes the key readable."""

import os
import re
import subprocess
from pathlib import Path

from service import config
from service.cohere_keys.sources import KeySources
from tests.books_lines import books_lines
from tests.e2e.processes import ROOT
from tests.stores.bao import BINARY, ROOT_TOKEN, bao_server
from tests.stores.shelf import COHERE_KEYS

PAGE = (ROOT / "docs" / "key-sources.md").read_text(encoding="utf-8")
TOML = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)


def test_all_examples_together_are_a_config(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text(f"{books_lines(tmp_path)}{TOML}")
    loaded = config.load(tmp_path / "cohort.toml", {})
    kinds = {team.cohere_key.partition(":")[0] for team in loaded.config.teams.values()}
    named = set(re.findall(r"^\| `([a-z-]+):", PAGE, re.MULTILINE))

    assert kinds | {"held"} == named


def run(command: str, folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_its_commands_make_a_key_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(COHERE_KEYS[0])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bao").symlink_to(BINARY)
    printed: dict[str, str] = {}
    with bao_server(tmp_path, approle=False) as bao:
        environ = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "BAO_ADDR": bao.address, "BAO_TOKEN": ROOT_TOKEN}
        for command in COMMANDS:
            printed[command] = run(command, tmp_path, environ)
        (role_id,) = (output.strip() for command, output in printed.items() if "role_id" in command)
        written = TOML.replace("https://vault.example.com:8200", bao.address)
        written = re.sub(r'role_id = ".*"', f'role_id = "{role_id}"', written)
        (tmp_path / "cohort.toml").write_text(f"{books_lines(tmp_path)}{written}")
        loaded = config.load(tmp_path / "cohort.toml", {})
        sources = KeySources(loaded)
        secret = await sources.of(loaded)["search"].read()
        await sources.close()

    assert secret.reveal() == COHERE_KEYS[0]

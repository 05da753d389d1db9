"""The commands of docs/limits.md, against a running service."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from service.cli import main
from tests.e2e.cohort_service import Cohort, cohort

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
MADE, USED, SHOWN = re.findall(r"^\$ cohort (.*)$", PAGE, re.MULTILINE)


async def ran(service: Cohort, command: str, who: Path) -> int:
    """Runs a command of the page as the holder of an access key, for the team that is there."""
    words = shlex.split(command.partition(" > ")[0].replace("search", "demo"))
    if "--access-key-file" not in words:
        words += ["--access-key-file", str(who)]
    return await asyncio.to_thread(main, [*words, "--target", service.target])


async def test_its_commands_make_an_access_key_with_limits_and_show_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    admin = tmp_path / "admin.key"
    async with cohort(tmp_path, team='tier = "pro"') as service:
        admin.write_text(service.access_keys["admin"])
        made = await ran(service, MADE, admin)
        (tmp_path / MADE.partition(" > ")[2]).write_text(capfd.readouterr().out)
        used = await ran(service, USED, admin)
        usage = capfd.readouterr().out
        shown = await ran(service, SHOWN, admin)
        team = capfd.readouterr().out

    assert (made, used, shown) == (0, 0, 0)
    assert re.findall(r"^requests per (\S+?)(,.*key)? +(\S+) +0 +(\S+) ", usage, re.MULTILINE) == [
        ("minute", "", "600", "600"),
        ("day", "", "50,000", "50,000"),
        ("minute", ", of the access key", "60", "60"),
        ("day", ", of the access key", "10,000", "10,000"),
    ]
    assert re.search(r"^demo +0 +requests per minute +600 +0 +600 +20.* UTC$", team, re.MULTILINE)
    assert re.search(r"^ +requests per day +50,000 +0 +50,000 +20.* UTC$", team, re.MULTILINE)

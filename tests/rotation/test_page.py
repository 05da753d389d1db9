"""docs/keys.md: each of its commands does what the page says, in the order of the page; its links and words hold."""

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

import grpc.aio
import pytest

from clients.sandbox import Sandbox
from clients.sandbox.keys import Key
from cohort.v1.error_reason_pb2 import ErrorReason
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from service import config
from service.books.alerts import Kind
from service.rotation import follower
from service.rotation.history import State
from service.server import running
from service.transport_options import STREAM_DEADLINE_MAX_S
from tests.books_lines import books_lines
from tests.e2e.processes import ROOT, environment
from tests.e2e.requests import chat
from tests.key_tables import PEPPER, access_key_lines, take_over_keys

PAGE = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ *\$ (.*)$", PAGE, re.MULTILINE)
KEYS = {name: f"canary-{name}-" + "k" * 28 for name in ("one", "two", "three", "four", "held")}
_BUDGET = r"BUDGET +LIMIT.*\n(search|research) .*\n"
_PROGRESS = r"(\[.*\] staged: .*\n)?\[.*\] current: .*\n"
_ROTATION = r"TEAM +ROTATION +STATE +CURRENT +PREVIOUS +KEPT UNTIL\n"
PRINTED = {
    "cohort teams show": rf"{_BUDGET}\nTEAM +WAITING.*\nsearch .*\n\nTEAM +ENDPOINTS.*\nsearch .* available\n(.*\n)+",
    "cohort audit list --team search --kind notice": r"TIME.*\n(.* cohere_key_.*\n|.*\n)+",
    "cohort audit list --team search --kind intent": r'(\{.*"cohere_key_version.*\}\n)+',
    "cohort rotate search --validate-only": rf"{_ROTATION}search +- +verified \(nothing was changed\) .*\n",
    "cohort rotate search": rf"{_PROGRESS}{_ROTATION}search +\w{{12}} +current +\d+ +\d+ .*\n",
    "cohort rotate research": rf"{_PROGRESS}{_ROTATION}research +\w{{12}} +current +1 +- +-\n",
    "cohort check --keys": r"TEAM .*\n(.*\n)+",
    "cohort usage": r"(.*\n)+",
    "cohort budget adjust": rf"(.*\n)*{_BUDGET}",
}
"""What the commands print, whole, as patterns; the longest that fits counts."""


class Scene:
    """A service with a team of each kind, and somebody at a terminal beside it."""

    def __init__(self, folder: Path, access_key: str) -> None:
        self.folder = folder
        self.access_key = access_key
        self.port = 0

    def put(self, name: str) -> None:
        (self.folder / "search.key").write_text(KEYS[name])

    def write_key(self) -> None:
        (self.folder / "new.key").write_text(f"{KEYS['held']}\n")

    async def call(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            await GatewayServiceStub(channel).Chat(chat(), metadata=(("x-api-key", self.access_key),), timeout=20)

    async def run(self, command: str) -> str:
        """Runs a command as it would be pasted; gives what it showed."""
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", command,
            cwd=self.folder,
            env={
                **environment(),
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "HOME": str(self.folder),
                "COHORT_ACCESS_KEY": self.access_key,
                "COHORT_CONFIG": str(self.folder / "cohort.toml"),
                "COHORT_TARGET": f"127.0.0.1:{self.port}",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        shown, _ = await process.communicate()
        assert process.returncode == 0, f"{command}\n{shown.decode()}"
        return shown.decode()


async def _charged(at: Scene) -> None:
    await at.run('cohort budget adjust search --amount-usd 1 --note "for the page"')


async def _before(at: Scene, heading: str, command: str) -> None:
    """What has happened by the time that somebody gives a command of a section."""
    put: dict[str, Callable[[], object]] = {
        "Rotate": lambda: at.put("two"),
        "A key that Cohort keeps": at.write_key,
        "Roll back": lambda: at.put("one"),
        "Revoke": lambda: at.put("three"),
        "A rotation left a gap": lambda: at.put("four"),
    }
    done: dict[str, Callable[[Scene], Awaitable[None]]] = {"Budget exceeded": _charged, "Revoke": Scene.call}
    if "rotate" in command and heading in put:
        put[heading]()
    if heading in done and "rotate" not in command and "usage" not in command:
        await done[heading](at)


def prepared(folder: Path, url: str) -> Scene:
    access_key, lines = access_key_lines("search", "ada", ["admin", "chat"])
    (folder / "bin").mkdir()
    script = f'#!/bin/sh\ncase $1 in check) exec {sys.executable} -m service.cli "$@";; esac\n'
    (folder / "bin" / "cohort").write_text(
        f'{script}exec {sys.executable} -m service.cli "$@" --target $COHORT_TARGET\n'
    )
    (folder / "bin" / "cohort").chmod(0o755)
    (folder / "pepper").write_text(PEPPER)
    (folder / "kek").write_text("0123456789abcdef" * 4)
    teams = "".join(
        f'[teams.{name}]\ncohere_key = "{reference}"\nbase_url = "{url}"\nmodels = ["command-a-03-2025"]\n'
        "max_tokens_per_call = 500\ndaily_budget_usd = 10\n"
        for name, reference in {"search": "file:search.key", "research": "held:"}.items()
    )
    (folder / "cohort.toml").write_text(
        'environment = "test"\n[server]\nlisten = "127.0.0.1:0"\n[metrics]\nenabled = false\n'
        '[cohere]\nsandbox = true\n[secrets.held.keks]\n1 = "file:kek"\n[peppers]\n1 = "file:pepper"\n'
        f"{books_lines(folder)}{teams}{lines}"
    )
    take_over_keys(folder / "cohort.toml")
    return Scene(folder, access_key)


def heading_of(place: int) -> str:
    headings: list[str] = re.findall(r"^##+ (.*)$", PAGE[:place], re.MULTILINE)
    return headings[-1]


@pytest.mark.slow
async def test_the_page_leads_through_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is put into a source waits for the page's commands.
    monkeypatch.setattr(follower, "INTERVAL_S", 3600.0)
    sandbox, log = Sandbox(), io.BytesIO()
    shown: list[tuple[str, str]] = []
    async with sandbox.serve() as url:
        sandbox.state.keys.add([Key(name, value, "our-organization") for name, value in KEYS.items()])
        at = prepared(tmp_path, url)
        at.put("one")
        async with running(config.load(tmp_path / "cohort.toml"), log) as service:
            at.port = service.port
            for match in re.finditer(r"^ *\$ (.*)$", PAGE, re.MULTILINE):
                await _before(at, heading_of(match.start()), match[1])
                shown.append((match[1], await at.run(match[1])))

    assert len(shown) == len(COMMANDS) >= 15
    for command, printed in shown:
        pattern = PRINTED[max((words for words in PRINTED if command.startswith(words)), key=len)]
        assert re.fullmatch(pattern, printed), f"{command}\n{printed}"
    seen = log.getvalue().decode() + "".join(printed for _, printed in shown)
    assert not [value for value in KEYS.values() if value in seen]


def test_the_page_tells_every_state_and_only_reasons_and_alerts_that_there_are() -> None:
    table = PAGE.partition("| a rotation is |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE))
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name}
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", PAGE))

    assert told == {each.value.replace("_", " ") for each in State} - {"previous"}
    assert named <= reasons
    assert set(re.findall(r"`(cohere_key_rotation|key_source_\w+)`", PAGE)) <= set(get_args(Kind))


def test_the_page_knows_how_long_a_call_can_last() -> None:
    (minutes,) = re.findall(r"\((\d+) minutes after it was retired\)", PAGE)

    assert int(minutes) == (STREAM_DEADLINE_MAX_S + 60 + 60) // 60


def test_the_page_uses_long_flags_alone() -> None:
    for command in COMMANDS:
        assert command.startswith("cohort ")
        assert not re.search(r" -[a-zA-Z]\b", command)

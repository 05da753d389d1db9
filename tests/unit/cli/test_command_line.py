import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli import main
from service.cli.commands import CommandParser
from service.cli.main import parser
from service.cli.version import version


def parsers(root: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of all its commands, configured."""
    if isinstance(root, CommandParser) and root._module is not None:
        importlib.import_module(root._module).configure(root)
        root._module = None
    yield root
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from parsers(sub)


ALL = list(parsers(parser()))
LEAVES = [each for each in ALL if each.get_default("run") is not None]


def test_these_are_the_commands() -> None:
    assert [leaf.prog for leaf in LEAVES] == [
        "cohort serve",
        "cohort check",
        "cohort init",
        "cohort login",
        "cohort logout",
        "cohort whoami",
        "cohort rotate",
        "cohort keys create",
        "cohort keys list",
        "cohort keys rotate",
        "cohort keys revoke",
        "cohort keys import",
        "cohort service-accounts create",
        "cohort service-accounts list",
        "cohort service-accounts revoke",
        "cohort token",
        "cohort teams list",
        "cohort teams show",
        "cohort teams freeze",
        "cohort teams unfreeze",
        "cohort budget adjust",
        "cohort usage",
        "cohort usage reconcile",
        "cohort audit list",
        "cohort audit tail",
        "cohort audit hash",
        "cohort audit verify",
        "cohort audit export",
        "cohort migrate",
        "cohort call chat",
        "cohort call embed",
        "cohort call rerank",
        "cohort sandbox",
        "cohort demo",
    ]


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.prog)
def test_every_flag_is_long_and_explained(each: argparse.ArgumentParser) -> None:
    for action in each._actions:
        assert all(flag.startswith("--") for flag in action.option_strings), action
        assert action.help or isinstance(action, argparse._SubParsersAction), action


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.prog)
def test_every_command_shows_its_help(each: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*each.prog.split()[1:], "--help"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {each.prog} ")


@pytest.mark.parametrize(
    "argv",
    [[], ["call"], ["keys"], ["nonsense"], ["serve", "--conf", "x"], ["serve", "-c", "x"], ["demo", "--listen", "x"]],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2_and_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: cohort")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "0.0.0.0:1", ":1", "cohere.com:1"]
)
def test_demo_and_sandbox_listen_on_this_machine_alone(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "sandbox"):
        with pytest.raises(SystemExit):
            main([command, "--listen", address])

        assert "of this machine alone" in capsys.readouterr().err


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"cohort {version()}\n"


def test_a_callers_command_imports_nothing_of_the_server() -> None:
    heavy = "{'service.server', 'service.snapshot', 'aiohttp', 'clients.transport', 'clients.sandbox'}"
    code = f"""
import sys
from service.cli import main
try:
    main(["call", "chat", "--help"])
except SystemExit:
    pass
print("imported:", sorted({heavy} & set(sys.modules)))
"""
    root = Path(__file__).parents[3]

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{root}:{root / 'protos'}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "imported: []"


def printing(text: str, stdout: Path, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    """Runs a command that prints *text*, in a process of its own whose stdout is a file."""
    code = f"""
import sys
from service.cli import commands, main
sys.modules["printing"] = module = type(sys)("printing")
module.configure = lambda parser: parser.set_defaults(run=lambda arguments: print({text!r}) or 0)
sys.modules["service.cli.main"].COMMANDS = (commands.Command("print", "printing", ""),)
sys.exit(main(["print"]))
"""
    root = Path(__file__).parents[3]
    env = {"PYTHONPATH": f"{root}:{root / 'protos'}", "PYTHONIOENCODING": encoding}
    with stdout.open("w") as file:
        return subprocess.run(
            [sys.executable, "-c", code], env=env, stdout=file, stderr=subprocess.PIPE, text=True, check=False
        )


def test_output_that_does_not_fit_on_the_disk_is_said_in_a_line() -> None:
    done = printing("a", Path("/dev/full"))

    assert (done.returncode, done.stderr) == (1, "cannot write the output: No space left on device\n")


def test_a_terminal_that_lacks_a_character_gets_its_escape(tmp_path: Path) -> None:
    done = printing("█ ö", tmp_path / "out", "ascii")

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_text() == "\\u2588 \\xf6\n"

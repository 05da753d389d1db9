import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli.demo_lines import QUESTION, Program, paste_cohort_call, paste_grpcurl, paste_python

PROGRAM = Program(["bin dir/cohort"], "bin dir/python")


def test_the_grpcurl_line_is_one_command_of_whole_words() -> None:
    words = shlex.split(paste_grpcurl("127.0.0.1:1", "cohort_demo_key"))

    assert words[0] == "grpcurl"
    assert words[-2:] == ["127.0.0.1:1", "cohort.v1.GatewayService/Chat"]
    assert "x-api-key: cohort_demo_key" in words


def test_the_cohort_line_names_the_file_of_the_key_and_not_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    line = paste_cohort_call(PROGRAM, "127.0.0.1:1", tmp_path / ".cohort" / "access_key")

    assert shlex.split(line) == [
        "bin dir/cohort", "call", "chat", "--target", "127.0.0.1:1",
        "--access-key-file", ".cohort/access_key", QUESTION,
    ]  # fmt: skip


def test_the_python_lines_are_one_command_whose_script_compiles() -> None:
    first, *script, last = paste_python(PROGRAM, "127.0.0.1:1", "cohort_demo_key").splitlines()

    assert shlex.split(first)[0] == "bin dir/python"
    assert last == "EOF"
    compile("\n".join(script), "pasted", "exec")


def test_the_running_program_is_named_as_it_can_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "cohort"
    script.parent.mkdir()
    script.write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")

    assert Program.running() == Program(["bin/cohort"], "/usr/bin/python3")


def test_a_checkout_without_the_script_is_started_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/checkout/service/cli/__main__.py", "demo"])

    program = Program.running()
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [*program.cohort, "--version"],
        env={"PYTHONPATH": f"{root}:{root / 'protos'}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("cohort ")

"""`cohort demo` as a process, and the lines it prints, run as they are pasted."""

import os
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from service.cli.demo_lines import QUESTION
from tests.e2e.processes import COMMAND, ROOT, free_addresses, ran, started

GROWING = ("log.jsonl", "sandbox.db", "sandbox-checkpoints.jsonl")
"""What a demo writes into its folder as it runs."""
TOOLS = os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ.get("PATH", "")])


def free_ports() -> list[str]:
    """Arguments of `cohort demo` for three free ports."""
    flags = ("--listen", "--metrics-listen", "--sandbox-listen")
    return [word for pair in zip(flags, free_addresses(3), strict=True) for word in pair]


@pytest.fixture
def listen() -> list[str]:
    return free_ports()


@dataclass(frozen=True)
class Demo:
    """A running demo that several tests look at; none of them ends it."""

    output: str
    folder: Path
    listen: list[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder, listen = tmp_path_factory.mktemp("demo"), free_ports()
    with started("demo", *listen, folder=folder) as process:
        yield Demo(process.until("Ctrl-C stops"), folder, listen)


def pasted(output: str, beginning: str, end: str = "\n\n") -> str:
    """The lines to paste that begin so, up to and with their end."""
    _, found, rest = output.partition(f"\n{beginning}")
    assert found
    return beginning + rest.partition(end)[0] + end


def test_the_demo_shows_an_answer_of_the_sandbox_and_where_everything_is(demo: Demo) -> None:
    address, metrics, sandbox = demo.listen[1::2]

    assert f"No CO_API_KEY is set, so Cohere is the bundled sandbox at http://{sandbox}" in demo.output
    assert f"Cohort serves on {address}, metrics on http://{metrics}/metrics" in demo.output
    assert "log.jsonl" in demo.output
    assert f'> Chat "{QUESTION}"\nThis is the sandbox' in demo.output
    assert "[COMPLETE | billed: " in demo.output


def test_the_demos_lines_work_as_they_are_pasted(demo: Demo) -> None:
    chat = ran(["sh", "-c", pasted(demo.output, COMMAND[0] + " -m service.cli call chat")], demo.folder)
    python = ran(["bash", "-c", pasted(demo.output, f"{COMMAND[0]} - <<", "\nEOF\n")], demo.folder)

    assert (chat.returncode, python.returncode) == (0, 0), (chat.stderr, python.stderr)
    assert chat.stdout.startswith("This is the sandbox")
    assert python.stdout == chat.stdout


@pytest.mark.skipif(shutil.which("grpcurl", path=TOOLS) is None, reason="no grpcurl in .tools/bin or on the path")
def test_the_demos_grpcurl_line_works_as_it_is_pasted(demo: Demo) -> None:
    done = ran(["sh", "-c", pasted(demo.output, "grpcurl ")], demo.folder, PATH=TOOLS)

    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout)["message"]["role"] == "assistant"


def test_the_demo_serves_metrics_and_logs_each_call(demo: Demo) -> None:
    with urllib.request.urlopen(f"http://{demo.listen[3]}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    lines = [orjson.loads(line) for line in (demo.folder / ".cohort" / "log.jsonl").read_text().splitlines()]

    assert 'code="OK"' in metrics
    assert [line["event"] for line in lines if "cohere key" not in line["event"]][:2] == ["serving", "call"]


def test_a_second_start_reuses_the_folder_and_a_stop_ends_with_0(tmp_path: Path, listen: list[str]) -> None:
    def start(stop: signal.Signals) -> dict[str, str]:
        with started("demo", *listen, folder=tmp_path) as process:
            process.until("Ctrl-C stops")
            process.send(stop)

            assert process.ended() == 0
            assert "Traceback" not in process.output
            assert process.output.endswith("Stopping.\n")
        kept = (file for file in (tmp_path / ".cohort").iterdir() if not file.name.startswith(GROWING))
        return {file.name: file.read_text() for file in kept}

    first, second = start(signal.SIGTERM), start(signal.SIGINT)

    assert first == second


@pytest.mark.parametrize("busy", [1, 3, 5], ids=["listen", "metrics", "sandbox"])
def test_a_busy_port_of_the_demo_is_one_clear_line(busy: int, demo: Demo, tmp_path: Path) -> None:
    listen = free_ports()
    listen[busy] = demo.listen[busy]

    done = ran([*COMMAND, "demo", *listen], tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"{listen[busy]} cannot be bound: Address already in use; {listen[busy - 1]} chooses another address\n"
    )


def on_sandbox(text: str, address: str) -> str:
    return text.replace("https://api.cohere.com", f"http://{address}").replace("sandbox = false", "sandbox = true")


def test_with_a_cohere_key_the_demo_is_on_real_cohere(tmp_path: Path, listen: list[str]) -> None:
    sandbox = listen[5]
    with started("sandbox", "--listen", sandbox, folder=tmp_path) as cohere:
        cohere.until("until Ctrl-C")
        with started("demo", *listen, folder=tmp_path) as process:
            assert f"{sandbox} cannot be bound" in process.until("cannot be bound")
        file = tmp_path / ".cohort" / "cohort.toml"
        file.write_text(on_sandbox(file.read_text(), sandbox))
        with started("demo", *listen[:4], folder=tmp_path, CO_API_KEY="sandbox-production") as process:
            output = process.until("Ctrl-C stops")

        assert f"CO_API_KEY is set, so Cohere is the real one at http://{sandbox}" in output
        assert "[COMPLETE | billed: " in output


def test_a_first_chat_that_fails_is_told_and_the_demo_serves_on(tmp_path: Path, listen: list[str]) -> None:
    sandbox = listen[5]
    with started("sandbox", "--listen", sandbox, folder=tmp_path) as cohere:
        cohere.until("until Ctrl-C")
        ran([*COMMAND, "demo", *listen], tmp_path)
        file = tmp_path / ".cohort" / "cohort.toml"
        file.write_text(on_sandbox(file.read_text(), sandbox))
        with started("demo", *listen[:4], folder=tmp_path, CO_API_KEY="sandbox-expired") as process:
            output = process.until("Ctrl-C stops")

        assert "COHERE_KEY_REJECTED (FAILED_PRECONDITION): " in output


def test_a_cohere_key_that_cannot_be_one_is_one_clear_line(tmp_path: Path, listen: list[str]) -> None:
    done = ran([*COMMAND, "demo", *listen], tmp_path, CO_API_KEY="with spaces")

    assert done.returncode == 2
    assert done.stderr == "env:CO_API_KEY: holds whitespace, control or non-ASCII characters\n"

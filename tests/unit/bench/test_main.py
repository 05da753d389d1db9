from pathlib import Path

import orjson
import pytest

from bench import __main__ as bench
from bench.load import CallsFailed
from bench.report import Results
from tests.unit.bench.test_report import results


@pytest.fixture
def tools_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.postgres.is_installed", lambda: True)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def gives(monkeypatch: pytest.MonkeyPatch, measured: Results) -> None:
    monkeypatch.setattr(bench, "_measured", lambda _: measured)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ({"h2load"}, "bench: h2load not found: apt-get install nghttp2-client\n"),
        ({"nginx"}, "bench: nginx not found: apt-get install nginx-light\n"),
        ({"PostgreSQL"}, "bench: PostgreSQL not found: apt-get install postgresql\n"),
        ({"h2load", "nginx"}, "bench: h2load and nginx not found: apt-get install nghttp2-client nginx-light\n"),
    ],
)
def test_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: set[str], line: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name in missing else f"/usr/bin/{name}")
    monkeypatch.setattr("bench.postgres.is_installed", lambda: "PostgreSQL" not in missing)

    assert bench.main([]) == 2
    assert capsys.readouterr().err == line


@pytest.mark.usefixtures("tools_there")
@pytest.mark.parametrize(("arguments", "exit_code"), [([], 0), (["--check"], 1)])
def test_a_missed_target_fails_the_run_only_if_asked(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], exit_code: int
) -> None:
    gives(monkeypatch, results(chat_us=451))

    assert bench.main(arguments) == exit_code


@pytest.mark.usefixtures("tools_there")
def test_what_a_slow_disk_leaves_unjudged_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    gives(monkeypatch, results(p50_ms=9, p99_ms=9, sync_after_ms=0.6))

    assert bench.main(["--check"]) == 0


@pytest.mark.usefixtures("tools_there")
def test_figures_go_to_the_file_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gives(monkeypatch, results())
    file = tmp_path / "out" / "results.json"

    assert bench.main(["--check", "--json", str(file)]) == 0
    assert orjson.loads(file.read_bytes())["comparisons"][0]["workload"] == "Chat"


@pytest.mark.usefixtures("tools_there")
def test_calls_that_fail_give_no_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: object) -> Results:
        raise CallsFailed("Chat: 3 of 4000 calls got an answer")

    monkeypatch.setattr(bench, "_measured", fails)

    assert bench.main([]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "bench: Chat: 3 of 4000 calls got an answer\n")

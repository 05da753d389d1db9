"""The bench's own servers, upstream and load, for a second; where h2load and nginx are there."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.compare import Bench
from bench.load import CallsFailed
from bench.loop import longest_block
from bench.postgres import postgres_databases
from bench.processes import Server, python_server
from bench.setting import Setting, setting_in
from bench.upstream import upstream
from bench.waits import paced, waits_of
from bench.workloads import all_workloads

pytestmark = [
    pytest.mark.prove,
    pytest.mark.prove_short,
    pytest.mark.skipif(not (shutil.which("h2load") and shutil.which("nginx")), reason="needs h2load and nginx"),
]
CALLS = 64


@dataclass(frozen=True)
class Stand:
    bench: Bench
    echo: Server
    cohort: Server


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("bench")
    with contextlib.ExitStack() as stack:
        answering = stack.enter_context(upstream(folder))
        bench = Bench(folder, answering, setting_in(folder, answering))
        echo = stack.enter_context(python_server("echo", ["-m", "bench.echo"], folder))
        # With the probe, which serves as `cohort serve` does.
        probed = ["-m", "bench.probe", str(bench.setting.config)]
        cohort = stack.enter_context(python_server("cohort", probed, folder))
        yield Stand(bench, echo, cohort)


@pytest.mark.parametrize("name", list(all_workloads()))
def test_every_call_of_a_workload_is_answered_by_both_servers(stand: Stand, name: str) -> None:
    workload = all_workloads()[name]

    compared = stand.bench.compare(workload, stand.echo, stand.cohort, pairs=1, calls=CALLS)

    assert (len(compared.echo), len(compared.cohort)) == (1, 1)
    assert compared.cohort_calls_per_s > 0


def test_refused_calls_are_no_figures(stand: Stand) -> None:
    strangers = Setting(stand.bench.setting.config, dict.fromkeys(("unary", "streams"), "cohort_bench_stranger"))
    stranger = dataclasses.replace(stand.bench, setting=strangers)

    with pytest.raises(CallsFailed, match="0 bytes in all"):
        stranger.load(all_workloads()["Chat"], stand.cohort, CALLS)
    with pytest.raises(CallsFailed, match="UNAUTHENTICATED"):
        stranger.warm_up(all_workloads()["Chat"], stand.cohort)


def test_another_answer_than_the_upstream_s_is_found(stand: Stand) -> None:
    workload = all_workloads()["Chat"]
    other = dataclasses.replace(workload, messages=all_workloads()["Rerank"].messages)

    with pytest.raises(CallsFailed, match="not what the upstream said"):
        stand.bench.warm_up(other, stand.cohort)


def test_the_stopwatch_tells_what_every_call_waited_on_either_database_and_a_bare_file(
    stand: Stand, tmp_path: Path
) -> None:
    bare = ["--bare", str(tmp_path / "file")]
    with postgres_databases("books") as (url,):
        for name, database, books in (("sqlite", None, []), ("postgres", url, []), ("bare", None, bare)):
            setting = setting_in(tmp_path / name, stand.bench.upstream, database)
            bench = dataclasses.replace(stand.bench, setting=setting)
            arguments = ["-m", "bench.stopwatch", str(setting.config), *books]
            with python_server(name, arguments, tmp_path) as watched:
                waits = waits_of(bench, all_workloads()["Chat"], watched, 50, 1)

            assert 20 < waits.calls < 100
            assert 0 < waits.both.p50_ms <= waits.both.p99_ms
            assert waits.entries_per_commit >= 1


def test_paced_calls_that_are_refused_are_no_figures(stand: Stand) -> None:
    strangers = Setting(stand.bench.setting.config, dict.fromkeys(("unary", "streams"), "cohort_bench_stranger"))
    stranger = dataclasses.replace(stand.bench, setting=strangers)

    with pytest.raises(CallsFailed, match=r"(?s)0 of \d+ calls got an answer: .*UNAUTHENTICATED"):
        paced(stranger, all_workloads()["Chat"], stand.cohort, 50, 0.2)


def test_the_probe_tells_the_longest_block_since_it_was_asked_last(stand: Stand) -> None:
    block = longest_block(stand.bench, all_workloads()["Chat"], stand.cohort, CALLS)

    assert 0 <= block.own_ms <= block.ms

"""`python -m bench`: what a call costs Cohort, beside a bare echo of the same messages."""

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench import machine, postgres
from bench.compare import Bench, Comparison
from bench.identity import check_costs
from bench.large import large_workloads
from bench.limits import limit_costs
from bench.load import CallsFailed
from bench.loop import LoopBlock, longest_block
from bench.processes import Server, ServerFailed, python_server
from bench.report import Results, json_of, text_of
from bench.setting import setting_in
from bench.upstream import upstream
from bench.waits import BUSY_CALLS_PER_S, CALM_CALLS_PER_S, Waits, waits_of
from bench.workloads import CHAT_ON_BARE_FILE, CHAT_ON_POSTGRES, Workload, all_workloads, chat_workload

MISSED, NOT_STARTED = 1, 2
_PACKAGES = {"h2load": "nghttp2-client", "nginx": "nginx-light", "PostgreSQL": "postgresql"}


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    pairs: int
    calls_divisor: int
    paced_s: float


WHOLE = Extent(pairs=5, calls_divisor=1, paced_s=5)
QUICK = Extent(pairs=2, calls_divisor=4, paced_s=1.5)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, and says how it ended: 0, 1 for a missed target if asked, 2 if it could not be measured."""
    arguments = _parser().parse_args(argv)
    missing = [name for name in ("h2load", "nginx") if shutil.which(name) is None]
    if not postgres.is_installed():
        missing.append("PostgreSQL")
    if missing:
        packages = " ".join(_PACKAGES[name] for name in missing)
        print(f"bench: {' and '.join(missing)} not found: apt-get install {packages}", file=sys.stderr)
        return NOT_STARTED
    try:
        results = _measured(QUICK if arguments.quick else WHOLE)
    except (CallsFailed, ServerFailed) as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return NOT_STARTED
    print(text_of(results))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_bytes(orjson.dumps(json_of(results), option=orjson.OPT_INDENT_2))
    missed = any(target.met is False for target in results.targets())
    return MISSED if arguments.check and missed else 0


def _measured(extent: Extent) -> Results:
    described = {
        "cores": machine.cores(),
        "processor": machine.processor(),
        "load_average": machine.load_average(),
        "versions": machine.versions(),
    }
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cohort-bench-")))
        answering = stack.enter_context(upstream(folder))
        (database,) = stack.enter_context(postgres.postgres_databases("books"))
        on_sqlite = Bench(folder, answering, setting_in(folder / "sqlite", answering))
        on_postgres = Bench(folder, answering, setting_in(folder / "postgres", answering, database))
        workloads, chats = list(all_workloads().values()), [chat_workload(CHAT_ON_POSTGRES)]
        with python_server("echo", ["-m", "bench.echo"], folder) as echo:
            comparisons = _compared(on_sqlite, workloads, echo, extent) + _compared(on_postgres, chats, echo, extent)
        blocks = _blocks(on_sqlite, workloads, extent)
        bare = ["--bare", str(folder / "bare")]
        waits = [
            *_waited(on_sqlite, [chat_workload()], extent),
            *_waited(on_postgres, chats, extent),
            *_waited(on_sqlite, [chat_workload(CHAT_ON_BARE_FILE)], extent, bare),
        ]
    print("CPU: credentials, limits …", file=sys.stderr)
    return Results(described, comparisons, blocks, waits, check_costs(), limit_costs())


def _compared(bench: Bench, workloads: list[Workload], echo: Server, extent: Extent) -> list[Comparison]:
    with python_server(
        "cohort", ["-m", "service.cli", "serve", "--config", str(bench.setting.config)], bench.folder
    ) as cohort:
        return [
            bench.compare(each, echo, cohort, pairs=extent.pairs, calls=each.calls // extent.calls_divisor)
            for each in _announced(workloads, "CPU")
        ]


def _waited(bench: Bench, workloads: list[Workload], extent: Extent, books: Sequence[str] = ()) -> list[Waits]:
    arguments = ["-m", "bench.stopwatch", str(bench.setting.config), *books]
    with python_server("watched", arguments, bench.folder) as watched:
        return [
            waits_of(bench, each, watched, calls_per_s, extent.paced_s)
            for each in _announced(workloads, "waits")
            for calls_per_s in (CALM_CALLS_PER_S, BUSY_CALLS_PER_S)
        ]


def _blocks(bench: Bench, workloads: list[Workload], extent: Extent) -> list[LoopBlock]:
    with python_server("probed", ["-m", "bench.probe", str(bench.setting.config)], bench.folder) as probed:
        return [
            longest_block(bench, each, probed, each.calls // extent.calls_divisor)
            for each in _announced([*workloads, *large_workloads()], "loop")
        ]


def _announced(workloads: Iterable[Workload], what: str) -> Iterator[Workload]:
    for workload in workloads:
        print(f"{what}: {workload.name} …", file=sys.stderr)
        yield workload


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="two shorter pairs of each, for a first look")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())

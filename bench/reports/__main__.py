"""`python -m bench.reports`: what reports cost in large books, and what large books and reports cost the calls."""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.compare import Bench, Comparison
from bench.load import CallsFailed
from bench.loop import LoopBlock, longest_block
from bench.postgres import is_installed, postgres_databases
from bench.processes import ServerFailed, python_server
from bench.report import LOOP_BLOCK_MS_MAX, Target
from bench.reports.asking import HEAVIEST, QUESTIONS, Answered, ask, being_asked
from bench.reports.fill import fill
from bench.reports.setting import ReportSetting, report_setting_in
from bench.upstream import Upstream, upstream
from bench.workloads import all_workloads

RECORDS = 10_000_000
CPU_RATIO_MAX = 1.15
PAIRS = 5
MISSED, NOT_STARTED = 1, 2
_PROGRAMS = ("h2load", "nginx")


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured.

    Attributes:
        records: How many audit records the books have.
        answered: The reports.
        chat: Empty books in the place of the echo, and large ones.
        block: Of the loop, while reports and calls are answered.
    """

    records: int
    answered: Sequence[Answered]
    chat: Comparison
    block: LoopBlock

    def targets(self) -> list[Target]:
        """What may be expected."""
        reports = [
            Target(f"{each.question.name}, p99", each.p99_ms, each.question.ms_max, "ms")
            for each in self.answered
            if each.question.ms_max is not None
        ]
        return [
            *reports,
            Target("Chat, CPU per call", self.chat.cpu_ratio, CPU_RATIO_MAX, "x empty books"),
            Target("event loop, longest block under reports", self.block.own_ms, LOOP_BLOCK_MS_MAX, "ms"),
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, and says how it ended: 0, 1 for a missed target if asked, 2 if it could not be measured."""
    arguments = _parser().parse_args(argv)
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if arguments.postgres and not is_installed():
        missing.append("PostgreSQL")
    if missing:
        print(f"bench: {' and '.join(missing)} not found; see bench/README.md", file=sys.stderr)
        return NOT_STARTED
    load_before = machine.load_average()
    try:
        with contextlib.ExitStack() as stack:
            temporary = tempfile.TemporaryDirectory(prefix="cohort-bench-", dir=arguments.folder)
            folder = Path(stack.enter_context(temporary))
            answering = stack.enter_context(upstream(folder))
            full_url, empty_url = arguments.databases or _made(folder, stack, on_postgres=arguments.postgres)
            setting = report_setting_in(folder, answering, full_url, empty_url)
            end_us = time.time_ns() // 1000
            records = fill(full_url, arguments.records, _tell)
            results = _measured(folder, answering, setting, records, end_us)
    except (CallsFailed, ServerFailed) as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return NOT_STARTED
    print(f"{machine.cores()} cores ({machine.processor()}), load {load_before:.1f} before")
    print(text_of(results))
    return MISSED if arguments.check and not all(target.met for target in results.targets()) else 0


def _made(folder: Path, stack: contextlib.ExitStack, *, on_postgres: bool) -> list[str]:
    if on_postgres:
        return stack.enter_context(postgres_databases("filled", "unfilled"))
    return [f"sqlite:{folder / name}" for name in ("full.db", "empty.db")]


def _measured(folder: Path, answering: Upstream, setting: ReportSetting, records: int, end_us: int) -> Results:
    bench = Bench(folder, answering, setting.full)
    chat = all_workloads()["Chat"]
    serve = ["-m", "service.cli", "serve", "--config"]
    with (
        python_server("full", [*serve, str(setting.full.config)], folder) as full,
        python_server("empty", [*serve, str(setting.empty.config)], folder) as empty,
    ):
        answered = []
        for question in QUESTIONS:
            _tell(f"asking: {question.name} …")
            answered.append(ask(question, full.port, setting.access_key, end_us))
        _tell("CPU: Chat …")
        bench.warm_up(chat, empty)
        compared = bench.compare(chat, empty, full, pairs=PAIRS, calls=chat.calls)
    with python_server("probed", ["-m", "bench.probe", str(setting.full.config)], folder) as probed:
        _tell("loop: Chat under reports …")
        with being_asked(HEAVIEST, probed.port, setting.access_key, end_us):
            block = longest_block(bench, chat, probed, chat.calls)
    return Results(records, answered, compared, block)


def text_of(results: Results) -> str:
    """The table and the targets."""
    chat, block = results.chat, results.block
    return "\n".join(
        [
            f"{results.records:,} audit records",
            "",
            f"{'GetUsage, as its caller sees it':<40} {'rows':>6} {'p50':>9} {'p99':>9}",
            f"{'':<40} {'':>6} {'ms':>9} {'ms':>9}",
            *(f"{a.question.name:<40} {a.rows:>6} {a.p50_ms:>9.1f} {a.p99_ms:>9.1f}" for a in results.answered),
            "",
            f"Chat: {chat.echo_cpu_us:.0f} us CPU with empty books, {chat.cohort_cpu_us:.0f} us with these",
            f"longest block of the loop under reports: {block.own_ms:.1f} ms own, {block.ms:.1f} ms by the clock",
            "",
            *(line_of(target) for target in results.targets()),
        ]
    )


def line_of(target: Target) -> str:
    """A target and whether it is kept."""
    verdict = "met" if target.met else "MISSED"
    return f"{verdict:<7} {target.name}: {target.figure:.2f} {target.unit}, at most {target.most:g}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.reports", description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=int, default=RECORDS, help="how many audit records (default: %(default)s)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--postgres", action="store_true", help="on a PostgreSQL of the bench's own, not on SQLite")
    where.add_argument(
        "--databases",
        nargs=2,
        metavar=("FULL", "EMPTY"),
        help="two empty databases, such as postgresql://… (default: SQLite, in the folder)",
    )
    parser.add_argument("--folder", type=Path, help="with 1 GB for each million records (default: the system's)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""What came out: the targets, the tables for people, and the JSON for programs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.compare import Comparison
from bench.identity import CheckCost
from bench.limits import LimitCost
from bench.loop import LoopBlock
from bench.waits import BUSY_CALLS_PER_S, Waits
from bench.workloads import CHAT_ON_BARE_FILE, CHAT_ON_POSTGRES

CHAT_CPU_RATIO_MAX = 4.5
EMBED_96_CPU_US_MAX = 2000.0
STREAM_EVENT_CPU_US_MAX = 60.0
LOOP_BLOCK_MS_MAX = 20.0
CHECK_CPU_US_MAX = 15.0
LIMITS_CPU_US_MAX = 10.0
WAIT_P50_MS_MAX = 1.0
WAIT_P99_MS_MAX = 3.0
SYNC_P50_MS_MAX = 0.5
"""On a slower disk the waits cannot be what they may be at the most, whatever Cohort does."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and the most it may be.

    Attributes:
        name: As the table names it.
        figure: What was measured.
        most: What it may be.
        unit: Of both.
        unjudged: Why the figure does not count here; empty if it does.
    """

    name: str
    figure: float
    most: float
    unit: str
    unjudged: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is kept; None if the figure does not count."""
        return None if self.unjudged else self.figure <= self.most


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured."""

    machine: dict[str, Any]
    comparisons: Sequence[Comparison]
    blocks: Sequence[LoopBlock]
    waits: Sequence[Waits]
    checks: Sequence[CheckCost]
    limits: Sequence[LimitCost]

    def targets(self) -> list[Target]:
        """The targets, in the order of the tables."""
        by_name = {comparison.workload: comparison for comparison in self.comparisons}
        stream = by_name["ChatStream"]
        chats = ("Chat", CHAT_ON_POSTGRES)
        return [
            *(Target(f"{name}, CPU per call", by_name[name].cpu_ratio, CHAT_CPU_RATIO_MAX, "x echo") for name in chats),
            Target("Embed 96 x 1,536, CPU per call", by_name["Embed 96"].cohort_cpu_us, EMBED_96_CPU_US_MAX, "us"),
            Target("ChatStream, CPU per event", stream.cohort_cpu_us / stream.messages, STREAM_EVENT_CPU_US_MAX, "us"),
            Target("event loop, longest block", max(each.own_ms for each in self.blocks), LOOP_BLOCK_MS_MAX, "ms"),
            *(target for each in self._busy() for target in _wait_targets(each)),
            *(Target(f"{each.credential}, CPU per check", each.cpu_us, CHECK_CPU_US_MAX, "us") for each in self.checks),
            *(
                Target(f"limits and pacing, CPU per {each.workload}", each.cpu_us, LIMITS_CPU_US_MAX, "us")
                for each in self.limits
            ),
        ]

    def _busy(self) -> list[Waits]:
        """What is judged."""
        busy = (each for each in self.waits if each.pace_calls_per_s == BUSY_CALLS_PER_S)
        return [each for each in busy if each.workload != CHAT_ON_BARE_FILE]


def _wait_targets(waits: Waits) -> list[Target]:
    unjudged = ""
    if waits.sync_p50_ms > SYNC_P50_MS_MAX:
        slow = f"fdatasync p50 {waits.sync_p50_ms:.2f} ms, at most {SYNC_P50_MS_MAX:g}"
        unjudged = f"the disk is slower than the target supposes: {slow}"
    name = f"{waits.workload}, wait for both records"
    return [
        Target(f"{name}, p50", waits.both.p50_ms, WAIT_P50_MS_MAX, "ms", unjudged),
        Target(f"{name}, p99", waits.both.p99_ms, WAIT_P99_MS_MAX, "ms", unjudged),
    ]


def text_of(results: Results) -> str:
    """The tables."""
    machine = results.machine
    versions = " · ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n".join(
        [
            f"{machine['cores']} cores ({machine['processor']}), load {machine['load_average']:.1f} before",
            versions,
            "",
            *_comparison_lines(results.comparisons),
            "",
            *_block_lines(results.blocks),
            "",
            *_wait_lines(results.waits),
            "",
            *(f"{f'check: {each.credential}':<26} {each.cpu_us:>9.1f} us CPU" for each in results.checks),
            *(f"{f'limits: {each.workload}':<26} {each.cpu_us:>9.1f} us CPU" for each in results.limits),
            "",
            *(_target_line(target) for target in results.targets()),
        ]
    )


def json_of(results: Results) -> dict[str, Any]:
    """The same and every single measurement, for `orjson`."""
    return {
        "machine": results.machine,
        "comparisons": [
            {
                **dataclasses.asdict(each),
                "echo_cpu_us": each.echo_cpu_us,
                "cohort_cpu_us": each.cohort_cpu_us,
                "echo_calls_per_s": each.echo_calls_per_s,
                "cohort_calls_per_s": each.cohort_calls_per_s,
                "cpu_ratio": each.cpu_ratio,
            }
            for each in results.comparisons
        ],
        "loop_blocks": [dataclasses.asdict(each) for each in results.blocks],
        "waits": [dataclasses.asdict(each) for each in results.waits],
        "checks": [dataclasses.asdict(each) for each in results.checks],
        "limits": [dataclasses.asdict(each) for each in results.limits],
        "targets": [{**dataclasses.asdict(target), "met": target.met} for target in results.targets()],
    }


def _comparison_lines(comparisons: Sequence[Comparison]) -> list[str]:
    lines = [
        f"{'CPU of the server per call':<26} {'echo':>9} {'Cohort':>9} {'ratio':>7}   {'echo':>9} {'Cohort':>9}",
        f"{'':<26} {'us':>9} {'us':>9} {'':>7}   {'calls/s':>9} {'calls/s':>9}",
    ]
    for each in comparisons:
        lines.append(
            f"{each.workload:<26} {each.echo_cpu_us:>9.0f} {each.cohort_cpu_us:>9.0f} {each.cpu_ratio:>7.2f}   "
            f"{each.echo_calls_per_s:>9.0f} {each.cohort_calls_per_s:>9.0f}"
        )
        if each.messages > 1:
            echo_us, cohort_us = each.echo_cpu_us / each.messages, each.cohort_cpu_us / each.messages
            lines.append(f"{f'  each of {each.messages} events':<26} {echo_us:>9.1f} {cohort_us:>9.1f}")
    return lines


def _block_lines(blocks: Sequence[LoopBlock]) -> list[str]:
    lines = [
        f"{'longest block of the loop':<26} {'request':>9} {'in':>9} {'own':>7}   {'by the clock':>12}",
        f"{'':<26} {'bytes':>9} {'flight':>9} {'ms':>7}   {'ms':>12}",
    ]
    lines += [
        f"{each.workload:<26} {each.request_bytes:>9} {each.in_flight:>9} {each.own_ms:>7.1f}   {each.ms:>12.1f}"
        for each in blocks
    ]
    return lines


def _wait_lines(waits: Sequence[Waits]) -> list[str]:
    synced = f"{'p50 ms':>8} {'p99 ms':>7}"
    head = f"{'wait for both records':<26} {'calls/s':>9} {'reached':>9} {'entries':>9} {'wait':>7} {'wait':>7}"
    under = f"{'':<26} {'':>9} {'':>9} {'a commit':>9} {'p50 ms':>7} {'p99 ms':>7}"
    lines = [
        f"{head}   {'fdatasync before':>16}   {'and after':>16}",
        f"{under}   {synced}   {synced}",
    ]
    lines += [
        f"{each.workload:<26} {each.pace_calls_per_s:>9} {each.calls_per_s:>9.0f} {each.entries_per_commit:>9.2f} "
        f"{each.both.p50_ms:>7.2f} {each.both.p99_ms:>7.2f}   "
        f"{each.sync_before.p50_ms:>8.2f} {each.sync_before.p99_ms:>7.2f}   "
        f"{each.sync_after.p50_ms:>8.2f} {each.sync_after.p99_ms:>7.2f}"
        for each in waits
    ]
    return lines


def _target_line(target: Target) -> str:
    line = f"{target.name}: {target.figure:.2f} {target.unit}, at most {target.most:g}"
    if target.unjudged:
        return f"{'-':<7} {line}; not judged, {target.unjudged}"
    return f"{'met' if target.met else 'MISSED':<7} {line}"

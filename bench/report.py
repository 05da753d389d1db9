"""What came out: the targets, the tables for people, and the JSON for programs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.compare import Comparison
from bench.loop import LoopBlock

CHAT_CPU_RATIO_MAX = 4.5
EMBED_96_CPU_US_MAX = 2000.0
STREAM_EVENT_CPU_US_MAX = 60.0
LOOP_BLOCK_MS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and the most it may be."""

    name: str
    figure: float
    most: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return self.figure <= self.most


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured."""

    machine: dict[str, Any]
    comparisons: Sequence[Comparison]
    blocks: Sequence[LoopBlock]

    def targets(self) -> list[Target]:
        """The targets, in the order of the tables."""
        by_name = {comparison.workload: comparison for comparison in self.comparisons}
        stream = by_name["ChatStream"]
        return [
            Target("Chat, CPU per call", by_name["Chat"].cpu_ratio, CHAT_CPU_RATIO_MAX, "x echo"),
            Target("Embed 96 x 1,536, CPU per call", by_name["Embed 96"].cohort_cpu_us, EMBED_96_CPU_US_MAX, "us"),
            Target("ChatStream, CPU per event", stream.cohort_cpu_us / stream.messages, STREAM_EVENT_CPU_US_MAX, "us"),
            Target("event loop, longest block", max(each.own_ms for each in self.blocks), LOOP_BLOCK_MS_MAX, "ms"),
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


def _target_line(target: Target) -> str:
    verdict = "met" if target.met else "MISSED"
    return f"{verdict:<7} {target.name}: {target.figure:.1f} {target.unit}, at most {target.most:g}"

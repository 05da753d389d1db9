"""Cohort against the echo: the same calls to both in turn, and what they cost."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.callers import call_once, counted_calls
from bench.load import CallsFailed
from bench.processes import Server
from bench.setting import Setting, prepare
from bench.upstream import Upstream
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one server.

    Attributes:
        cpu_us: CPU time of the server's process per call, user and system, in microseconds.
        calls_per_s: How many calls it answered in a second.
    """

    cpu_us: float
    calls_per_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measurements of one workload: the first of the echo and the first of Cohort are a pair, and so on."""

    workload: str
    messages: int
    calls: int
    echo: tuple[Sample, ...]
    cohort: tuple[Sample, ...]

    @property
    def echo_cpu_us(self) -> float:
        """Median of the echo's CPU time per call."""
        return statistics.median(sample.cpu_us for sample in self.echo)

    @property
    def cohort_cpu_us(self) -> float:
        """Median of Cohort's CPU time per call."""
        return statistics.median(sample.cpu_us for sample in self.cohort)

    @property
    def echo_calls_per_s(self) -> float:
        """Median."""
        return statistics.median(sample.calls_per_s for sample in self.echo)

    @property
    def cohort_calls_per_s(self) -> float:
        """Median."""
        return statistics.median(sample.calls_per_s for sample in self.cohort)

    @property
    def cpu_ratio(self) -> float:
        """Median of the pairs' ratios: what slows the machine down for a while slows both of a pair."""
        pairs = zip(self.echo, self.cohort, strict=True)
        return statistics.median(cohort.cpu_us / echo.cpu_us for echo, cohort in pairs)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share."""

    folder: Path
    upstream: Upstream
    setting: Setting

    def compare(self, workload: Workload, echo: Server, cohort: Server, *, pairs: int, calls: int) -> Comparison:
        """Measures both servers in turn, *pairs* times, after a shorter run of each that does not count.

        Raises:
            CallsFailed: A call was not answered as it should have been, or Cohort did not count it as OK.
        """
        self.warm_up(workload, cohort)
        ok_before, others_before = counted(cohort, workload)
        echo_samples: list[Sample] = []
        cohort_samples: list[Sample] = []
        for server in (echo, cohort):
            self._sample(workload, server, calls)
        for _ in range(pairs):
            echo_samples.append(self._sample(workload, echo, calls))
            cohort_samples.append(self._sample(workload, cohort, calls))
        ok, others = counted(cohort, workload)
        made = calls * (pairs + 1)
        if ok - ok_before != made or others != others_before:
            raise CallsFailed(
                f"{workload.name}: {made} calls were made, "
                f"and Cohort counted {ok - ok_before} that ended OK and {others - others_before} others"
            )
        return Comparison(workload.name, len(workload.messages), calls, tuple(echo_samples), tuple(cohort_samples))

    def warm_up(self, workload: Workload, cohort: Server) -> None:
        """Prepares the upstream and lets Cohort answer two calls whose answers are checked.

        The first may be answered apart: a model's first Embed asks for its floats in two forms.
        """
        access_key = self.setting.access_key_for(workload)
        prepare(self.upstream, workload, first=True)
        call_once(workload, cohort.port, access_key)
        prepare(self.upstream, workload)
        call_once(workload, cohort.port, access_key)

    def load(self, workload: Workload, server: Server, calls: int) -> load.Load:
        """Makes the workload's calls to a server."""
        return load.run(workload, server.port, self.setting.access_key_for(workload), self.folder, calls)

    def _sample(self, workload: Workload, server: Server, calls: int) -> Sample:
        before_s = server.cpu_s()
        made = self.load(workload, server, calls)
        return Sample((server.cpu_s() - before_s) * 1e6 / calls, made.calls_per_s)


def counted(cohort: Server, workload: Workload) -> tuple[int, int]:
    """How many calls of the workload's RPC Cohort has counted: those that ended OK, and all others.

    Raises:
        CallsFailed: It serves no metrics.
    """
    if cohort.metrics_port is None:
        raise CallsFailed("Cohort serves no metrics, so nothing tells whether calls ended OK")
    return counted_calls(cohort.metrics_port, workload)

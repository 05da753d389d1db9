"""The event loop's longest block under load, by the probe of `bench.probe`."""

from dataclasses import dataclass

from bench.compare import Bench
from bench.probe import EVENT
from bench.processes import Server, told_by
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class LoopBlock:
    """The longest time between two turns of the loop while a workload's calls were answered.

    Attributes:
        workload: Its name.
        request_bytes: Size of each request.
        in_flight: Calls under way at once.
        ms: By the clock; other processes on a busy machine make it longer.
        own_ms: Without them: what Cohort's process itself spent meanwhile.
    """

    workload: str
    request_bytes: int
    in_flight: int
    ms: float
    own_ms: float


def longest_block(bench: Bench, workload: Workload, probed: Server, calls: int) -> LoopBlock:
    """Makes calls and asks the probe.

    Raises:
        CallsFailed: A call was not answered as it should have been.
    """
    bench.warm_up(workload, probed)
    told_by(probed, EVENT)
    bench.load(workload, probed, calls)
    told = told_by(probed, EVENT)
    return LoopBlock(workload.name, workload.request.ByteSize(), workload.in_flight, told["ms"], told["own_ms"])

"""What a call waits for its two records while calls come at a steady pace, beside what the disk itself takes."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import orjson

from bench.compare import Bench, counted
from bench.disk import sync_times
from bench.load import CallsFailed
from bench.processes import ROOT, Server, told_by
from bench.spread import Spread
from bench.stopwatch import EVENT
from bench.workloads import Workload

CALM_CALLS_PER_S, BUSY_CALLS_PER_S = 100, 1000
"""Calls that meet no others, mostly; and as many as two cores bear that callers, upstream and PostgreSQL share."""
_WARM_S = 1.0
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of one workload's calls.

    Attributes:
        workload: Its name.
        pace_calls_per_s: How many were to begin in a second.
        calls: How many were measured.
        calls_per_s: How many were answered in a second.
        entries_per_commit: How many entries shared a transaction, in the mean.
        both: What a call waited for both of its records.
        late: How much later than due the calls began: it was their process that had to wait.
        sync_before: What the disk took for fdatasync before the calls.
        sync_after: And after them.
    """

    workload: str
    pace_calls_per_s: int
    calls: int
    calls_per_s: float
    entries_per_commit: float
    both: Spread
    late: Spread
    sync_before: Spread
    sync_after: Spread

    @property
    def sync_p50_ms(self) -> float:
        """The slower of the disk's two medians."""
        return max(self.sync_before.p50_ms, self.sync_after.p50_ms)


def waits_of(bench: Bench, workload: Workload, watched: Server, calls_per_s: int, seconds: float) -> Waits:
    """Makes calls for some seconds and asks the stopwatch.

    Args:
        bench: What all measurements share.
        workload: Chat, under any name.
        watched: Cohort with the stopwatch of `bench.stopwatch`.
        calls_per_s: How many begin in a second.
        seconds: How long.

    Raises:
        CallsFailed: A call was not answered as it should have been.
    """
    bench.warm_up(workload, watched)
    paced(bench, workload, watched, calls_per_s, _WARM_S)
    told_by(watched, EVENT)
    sync_before = sync_times(bench.folder)
    ok_before, others_before = counted(watched, workload)
    seen = paced(bench, workload, watched, calls_per_s, seconds)
    told = told_by(watched, EVENT)
    ok, others = counted(watched, workload)
    sync_after = sync_times(bench.folder)
    calls, waits_s = seen["calls"], told["waits_s"]
    if not calls == ok - ok_before == len(waits_s) or others != others_before:
        raise CallsFailed(
            f"{workload.name}: {calls} calls were made, Cohort counted {ok - ok_before} that ended OK and "
            f"{others - others_before} others, and {len(waits_s)} waited for both records"
        )
    return Waits(
        workload.name,
        calls_per_s,
        calls,
        calls / seen["seconds"],
        told["entries"] / told["commits"],
        Spread.of(waits_s),
        Spread(**seen["late"]),
        sync_before,
        sync_after,
    )


def paced(bench: Bench, workload: Workload, watched: Server, calls_per_s: int, seconds: float) -> dict[str, Any]:
    """Makes calls for some seconds in a process of their own; gives what `bench.pace` tells.

    Raises:
        CallsFailed: A call was not answered as it should have been.
    """
    access_key = bench.setting.access_key_for(workload)
    arguments = [str(watched.port), access_key, str(calls_per_s), str(seconds)]
    command = [sys.executable, "-m", "bench.pace", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=_PATIENCE_S, check=False)
    if ended.returncode:
        raise CallsFailed(f"{workload.name}: the callers failed:\n{ended.stderr.decode()[-2000:]}")
    seen: dict[str, Any] = orjson.loads(ended.stdout)
    if seen["answered"] != seen["calls"]:
        problem = seen["problem"] or "an answer was longer or shorter than due"
        raise CallsFailed(f"{workload.name}: {seen['answered']} of {seen['calls']} calls got an answer: {problem}")
    return seen

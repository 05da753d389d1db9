"""Cohort with a probe on its event loop, which tells how long the loop was kept from turning.

Run as `python -m bench.probe CONFIG`: serves as `cohort serve` does, and on SIGUSR1 writes the longest block since the
last time as a line of JSON. Apart from the servers whose CPU is compared, for the probe itself costs some.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import orjson
import uvloop

from service import config, server

EVENT = "longest block"
_INTERVAL_S = 0.001


class Probe:
    """Wakes up every millisecond and notes by how much it was late.

    Other processes on a busy machine make every wait longer. So a block counts twice: by the clock, and as our own,
    by no more than the CPU time that this process spent meanwhile, in the loop or in a thread that held the GIL, and
    without the time in which the loop could have run had it been given a core.
    """

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._longest_own_s = 0.0
        # Of the thread that opens it (proc(5)): nanoseconds it ran, nanoseconds it waited for a core, and a count.
        self._scheduling = Path("/proc/thread-self/schedstat").open("rb", buffering=0)  # noqa: SIM115 (as long as this)

    async def watch(self) -> None:
        """Measures until cancelled."""
        before_s, before_cpu_s, before_queued_s = time.perf_counter(), time.process_time(), self._queued_s()
        while True:
            await asyncio.sleep(_INTERVAL_S)
            now_s, now_cpu_s, now_queued_s = time.perf_counter(), time.process_time(), self._queued_s()
            late_s = now_s - before_s - _INTERVAL_S
            own_s = min(late_s - (now_queued_s - before_queued_s), now_cpu_s - before_cpu_s)
            self._longest_s = max(self._longest_s, late_s)
            self._longest_own_s = max(self._longest_own_s, own_s)
            before_s, before_cpu_s, before_queued_s = now_s, now_cpu_s, now_queued_s

    def _queued_s(self) -> float:
        """How long the loop's thread has waited for a core, in all; 0 where the kernel does not say."""
        self._scheduling.seek(0)
        return int(self._scheduling.read().split()[1]) / 1e9

    def tell(self) -> None:
        """Writes the longest block, in milliseconds, and forgets it."""
        line = {"event": EVENT, "ms": self._longest_s * 1000, "own_ms": self._longest_own_s * 1000}
        self._longest_s = self._longest_own_s = 0.0
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.buffer.flush()


async def _serve(config_file: Path) -> None:
    probe = Probe()
    watching = asyncio.create_task(probe.watch())
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, probe.tell)
    await server.serve(config.load(config_file))
    watching.cancel()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))

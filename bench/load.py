"""The load: h2load sends framed gRPC requests, several in flight, and what it says is checked."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.workloads import Workload

_CONNECTIONS = 4
_WINDOW_BITS = "24"
_TIMEOUT_S = 300


class CallsFailed(Exception):
    """Not every call was answered as it should have been: the figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of h2load saw."""

    calls: int
    calls_per_s: float


def run(workload: Workload, port: int, access_key: str, folder: Path, calls: int) -> Load:
    """Makes the workload's calls and waits for all answers.

    h2load knows nothing of gRPC, whose errors come with HTTP status 200; but they come without messages,
    so the bytes received tell whether every call got its answer.

    Raises:
        CallsFailed: One did not.
    """
    frame = folder / "request.grpc"
    frame.write_bytes(workload.frame)
    command = [
        *("h2load", "-n", str(calls), "-c", str(_CONNECTIONS), "-m", str(workload.in_flight // _CONNECTIONS)),
        *("-w", _WINDOW_BITS, "-W", _WINDOW_BITS, "-d", str(frame)),
        *("-H", "content-type: application/grpc", "-H", "te: trailers", "-H", f"x-api-key: {access_key}"),
        f"http://127.0.0.1:{port}/cohort.v1.GatewayService/{workload.method}",
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise CallsFailed(f"{workload.name}: {calls} calls took longer than {_TIMEOUT_S} s") from None
    return load_of(ended.stdout, calls, workload.answer_bytes)


RECEIPT_BYTES = 8
"""What receipts differ by at the most: what is left of a budget is two numbers of varying length."""


def load_of(report: str, calls: int, answer_bytes: int) -> Load:
    """Reads h2load's report.

    Args:
        report: Its standard output.
        calls: How many calls it was to make.
        answer_bytes: What each answer must have brought.

    Raises:
        CallsFailed: A call failed, or was answered with more or fewer bytes than receipts differ by.
    """
    succeeded = _number(r"(\d+) succeeded", report)
    received_bytes = _number(r"\((\d+)\) data", report)
    if succeeded != calls or abs(received_bytes - calls * answer_bytes) > calls * RECEIPT_BYTES:
        raise CallsFailed(
            f"{succeeded:.0f} of {calls} calls got an answer, "
            f"{received_bytes:.0f} bytes in all where {calls * answer_bytes} were due:\n{report}"
        )
    return Load(calls, _number(r"([\d.]+) req/s", report))


def _number(pattern: str, report: str) -> float:
    found = re.search(pattern, report)
    if found is None:
        raise CallsFailed(f"h2load's report is not understood:\n{report}")
    return float(found[1])

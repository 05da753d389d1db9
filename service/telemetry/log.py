"""structlog as JSON lines on one stream, and the line that every call leaves."""

import asyncio
import functools
import logging
import time
from typing import Any, BinaryIO, cast

import orjson
import structlog

from service.call import Call
from service.recordable import recordable
from service.status import Outcome


class LogStream:
    """A stream for log lines that never fails a call: what it cannot write is counted.

    Inside an event loop lines leave at the end of its turn, all that were written in it at once: a system call for each
    would be felt. Outside, each leaves at once.

    Args:
        stream: Where lines go.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self.lines_lost = 0

    def write(self, line: bytes) -> int:
        """Takes one line; returns its length."""
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            if len(self._lines) == 1:  # the first of this turn
                loop.call_soon(self.flush)
        return len(line)

    def flush(self) -> None:
        """Writes what was taken."""
        lines, self._lines = self._lines, []
        try:
            self._stream.write(b"".join(lines))
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed file
            self.lines_lost += len(lines)


def configure(stream: LogStream) -> None:
    """Makes structlog write JSON lines to *stream*; libraries' own warnings join them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_shape_of),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", stream)),
        cache_logger_on_first_use=False,
    )
    handler = _ToStructlog()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _shape_of(exc_info: structlog.typing.ExcInfo) -> list[dict[str, Any]]:
    """Types and frames of an exception, without locals and without its text: either may hold a key or a prompt."""
    stacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)(exc_info)
    shown = ("exc_type", "frames")
    return [{name: stack[name] for name in shown} for stack in stacks]


class CallLog:
    """Writes the line of a call, and one more when an attempt outlived its caller.

    The line holds who, what, how it ended and what Cohere billed; never content, never a credential. Text that
    comes from outside is made `recordable`, and JSON escapes what is left to escape.
    """

    def __init__(self, stream: LogStream) -> None:
        self._write = stream.write

    def ended(self, call: Call, outcome: Outcome) -> None:
        """A call's answer is about to leave, or its caller has left."""
        self._line("call", call, outcome)

    def drained(self, call: Call, outcome: Outcome) -> None:
        """An attempt ended after its caller had left."""
        self._line("drained", call, outcome)

    def _line(self, event: str, call: Call, outcome: Outcome) -> None:
        now_ns = time.time_ns()
        line: dict[str, Any] = {
            "event": event,
            "level": "info",
            "timestamp": _iso(now_ns),
            "call_id": call.call_id,
            "rpc": call.rpc,
            "peer": call.peer,
            "code": outcome.code,
            "duration_ms": round((time.perf_counter_ns() - call.started_ns) / 1e6, 3),
        }
        if outcome.reason:
            line["reason"] = outcome.reason
        principal = call.principal
        if principal is not None:
            line["team"] = principal.team
            line["principal"] = principal.name
            line["method"] = principal.method
            line["credential_id"] = principal.credential_id
            if principal.actors:
                line["actors"] = principal.actors
        if call.credential_problem:
            line["credential_problem"] = call.credential_problem
        if call.certificate:
            line["certificate"] = call.certificate
        if call.request_bytes:
            line["request_bytes"] = call.request_bytes
        if call.model:
            line["model"] = recordable(call.model)
        if call.attempts:
            self._add_attempts(line, call)
        if call.detached:
            line["detached"] = True
        self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _add_attempts(self, line: dict[str, Any], call: Call) -> None:
        line["attempts"] = call.attempts
        line["cohere_key_version"] = call.key_version
        line["upstream_status"] = call.upstream_status
        line["upstream_ms"] = round(call.upstream_ns / 1e6, 3)
        if call.debug_trace_id:
            line["debug_trace_id"] = recordable(call.debug_trace_id)
        if call.upstream_warning:
            line["upstream_warning"] = recordable(call.upstream_warning)
        if call.billing is not None:
            line["billing"] = call.billing
        if call.upstream_fault:
            line["upstream_fault"] = call.upstream_fault
        if call.events:
            line["events"] = call.events
        if call.billed_units is not None:
            line["billed_units"] = {field.name: value for field, value in call.billed_units.ListFields()}


class _ToStructlog(logging.Handler):
    """Brings warnings of libraries into the same stream, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning("library", logger=record.name, message=record.getMessage()[:1000])


def _iso(now_ns: int) -> str:
    seconds, rest = divmod(now_ns, 1_000_000_000)
    return f"{_iso_seconds(seconds)}.{rest // 1000:06d}Z"


@functools.lru_cache(maxsize=2)
def _iso_seconds(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))

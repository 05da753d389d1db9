"""Prometheus metrics, on a port of their own."""

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import Callable
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from service.address import host_of
from service.call import Call
from service.status import Outcome

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1)
_BOOKS_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LAG_INTERVAL_S = 0.05


class Metrics:
    """The service's own figures; label values come from the config and from us, never from a caller's text.

    Args:
        log_lines_lost: Counts the log lines that could not be written.
    """

    def __init__(self, log_lines_lost: Callable[[], float] = lambda: 0.0) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "cohort_calls", "Calls by outcome.", ("rpc", "team", "code", "reason"), registry=self.registry
        )
        self._durations = Histogram(
            "cohort_call_duration_seconds", "Time from headers to answer.", ("rpc",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._in_flight = Gauge("cohort_calls_in_flight", "Calls being served.", ("rpc",), registry=self.registry)
        self._attempts = Counter(
            "cohort_attempts", "HTTP requests to Cohere by status, 0 if no answer came.",
            ("team", "status"), registry=self.registry,
        )  # fmt: skip
        self._drained = Counter(
            "cohort_drained",
            "Attempts that outlived their caller, by outcome.",
            ("code",),
            registry=self.registry,
        )
        self._lag = Histogram(
            "cohort_loop_lag_seconds", "How much later than asked the event loop woke up.",
            buckets=_LAG_SECONDS, registry=self.registry,
        )  # fmt: skip

        lost = Gauge("cohort_log_lines_lost", "Log lines that could not be written.", registry=self.registry)
        lost.set_function(log_lines_lost)
        # Finding a child by its labels costs more than counting in it.
        self._calls_of = functools.cache(self._calls.labels)
        self._durations_of = functools.cache(self._durations.labels)
        self._in_flight_of = functools.cache(self._in_flight.labels)
        self._attempts_of = functools.cache(self._attempts.labels)

        self._add_books()
        self._add_turns()
        self._add_keys()

    def _add_books(self) -> None:
        self._alerts = Counter(
            "cohort_alerts", "What somebody should look at, by kind.", ("alert", "team"), registry=self.registry
        )
        self._books_waits = Histogram(
            "cohort_books_wait_seconds", "Time until what a call wrote into the books was durable.", ("step",),
            buckets=_BOOKS_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._books_available = Gauge(
            "cohort_books_available", "1 while the books can be written, else 0.", registry=self.registry
        )
        self._books_available.set(1)
        self._books_waits_of = functools.cache(self._books_waits.labels)

    def _add_turns(self) -> None:
        self._waiting = Gauge(
            "cohort_calls_waiting", "Calls that wait for their turn towards Cohere.", ("team",), registry=self.registry
        )
        self._turn_waits = Histogram(
            "cohort_turn_wait_seconds", "How long calls waited for their turn that did not have it at once.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._waiting_of = functools.cache(self._waiting.labels)

    def _add_keys(self) -> None:
        self._key_checks = Counter(
            "cohort_cohere_key_checks", "Checks of Cohere keys by what they found.", ("team", "state"),
            registry=self.registry,
        )  # fmt: skip
        self._keys_usable = Gauge(
            "cohort_cohere_key_usable", "1 while a team's calls can be made with its Cohere key, else 0.", ("team",),
            registry=self.registry,
        )  # fmt: skip
        self._key_reads = Counter(
            "cohort_key_reads", "Reads of where Cohere keys are kept.", ("source", "outcome"), registry=self.registry
        )
        self._key_sources = Gauge(
            "cohort_key_source_available", "1 while the team's Cohere key can be read from where it is kept, else 0.",
            ("team",), registry=self.registry,
        )  # fmt: skip

    def call_started(self, call: Call) -> None:
        """An RPC of ours came in."""
        self._in_flight_of(call.rpc).inc()

    def call_ended(self, call: Call, outcome: Outcome, seconds: float) -> None:
        """Its answer leaves."""
        team = call.principal.team if call.principal else ""
        self._in_flight_of(call.rpc).dec()
        self._calls_of(call.rpc, team, outcome.code, outcome.reason).inc()
        self._durations_of(call.rpc).observe(seconds)

    def attempt_ended(self, team: str, status: int) -> None:
        """One HTTP request to Cohere ended."""
        self._attempts_of(team, str(status)).inc()

    def turn_awaited(self, team: str) -> None:
        """A call waits for its turn towards Cohere."""
        self._waiting_of(team).inc()

    def turn_ended(self, team: str, seconds: float) -> None:
        """It has it, or has left."""
        self._waiting_of(team).dec()
        self._turn_waits.observe(seconds)

    def books_waited(self, step: str, seconds: float) -> None:
        """A call waited for the books: to `admit` or `settle` an attempt, or to `record` an answer."""
        self._books_waits_of(step).observe(seconds)

    def books_told(self, available: bool) -> None:  # noqa: FBT001 (a callback of one value)
        """The books can be written, or can no longer."""
        self._books_available.set(available)

    def alert_raised(self, kind: str, team: str) -> None:
        """Something happened that somebody should look at."""
        self._alerts.labels(kind, team).inc()

    def key_read(self, kind: str, outcome: str) -> None:
        """A team's Cohere key was `read` from where it is kept, or is `missing` there, or it is `unavailable`."""
        self._key_reads.labels(kind, outcome).inc()

    def key_source_told(self, team: str, *, available: bool) -> None:
        """A team's source could be read, or could not."""
        self._key_sources.labels(team).set(available)

    def key_source_gone(self, team: str) -> None:
        """There is no such team any more."""
        self._key_sources.remove(team)

    def key_checked(self, team: str, state: str) -> None:
        """Cohere was asked about a team's key, or could not be."""
        self._key_checks.labels(team, state).inc()

    def key_usable(self, team: str, usable: bool) -> None:  # noqa: FBT001 (what the gauge says)
        """Whether a team's calls can be made."""
        self._keys_usable.labels(team).set(usable)

    def key_gone(self, team: str) -> None:
        """There is no such team any more."""
        self._keys_usable.remove(team)

    def drained(self, outcome: Outcome) -> None:
        """A detached attempt ended."""
        self._drained.labels(outcome.code).inc()

    async def watch_loop(self) -> None:
        """Measures the event loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            asked_s = loop.time() + _LAG_INTERVAL_S
            await asyncio.sleep(_LAG_INTERVAL_S)
            self._lag.observe(max(0.0, loop.time() - asked_s))

    def serve(self, listen: str) -> "MetricsServer":
        """Serves the metrics over HTTP from a thread of its own.

        Raises:
            OSError: The address cannot be bound.
        """
        server, thread = start_http_server(int(listen.rpartition(":")[2]), host_of(listen), self.registry)
        return MetricsServer(server, thread)


class MetricsServer:
    """A running metrics port."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.port: int = server.server_port

    def close(self) -> None:
        """Stops serving."""
        stopping = threading.Thread(target=self._server.shutdown)
        stopping.start()
        # It looks twice a second whether to stop, and whenever somebody connects.
        with contextlib.suppress(OSError):
            socket.create_connection((str(self._server.server_address[0]), self.port), timeout=1).close()
        stopping.join()
        self._server.server_close()
        self._thread.join()

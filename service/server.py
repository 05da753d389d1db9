"""The composition root: open → wire → serve → drain → close. Every object of the service is made here."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from clients.teams import FloatTrust
from clients.transport import Transport, TransportLimits
from cohort.v1 import gateway_service_pb2
from service import process, reflection
from service.address import host_of, is_loopback
from service.attempts import Attempts
from service.call import Call
from service.config import Config, ConfigError, LoadedConfig
from service.context import Context
from service.drain import Drain
from service.interceptors.audit import AuditInterceptor
from service.interceptors.auth import AuthInterceptor
from service.interceptors.chain import Chain, Interceptor, OpenCall
from service.interceptors.error import ErrorInterceptor
from service.interceptors.telemetry import TelemetryInterceptor
from service.reload import Reloader
from service.rpc import RpcOptions, add_service
from service.servicers.gateway import GatewayServicer
from service.snapshot import snapshot_of
from service.status import Outcome
from service.telemetry import log
from service.telemetry.metrics import Metrics
from service.tls import Certificate
from service.transport_options import deadline_s_of, options_of
from service.watch import watch

if TYPE_CHECKING:
    from service.telemetry.tracing import Tracing

GATEWAY = gateway_service_pb2.DESCRIPTOR.services_by_name["GatewayService"]
SERVICES = frozenset({GATEWAY.full_name})

LAST_BYTES_S = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers."""

    port: int
    metrics_port: int | None
    reloader: Reloader
    health: health.aio.HealthServicer


@contextlib.asynccontextmanager
async def running(loaded: LoadedConfig, stream: BinaryIO = sys.stdout.buffer) -> AsyncIterator[Running]:
    """Runs the service inside the context; leaving it drains and closes everything.

    Args:
        loaded: The config.
        stream: Where log lines go.

    Raises:
        ConfigError: It cannot start as configured.
    """
    process.secure()
    log_stream = log.LogStream(stream)
    log.configure(log_stream)
    config = loaded.config
    reloader = Reloader(snapshot_of(loaded))
    metrics = Metrics(lambda: log_stream.lines_lost)
    call_log = log.CallLog(log_stream)

    def drained(call: Call, outcome: Outcome) -> None:
        metrics.drained(outcome)
        call_log.drained(call, outcome)

    drain = Drain(config.server.drain_seconds, drained)
    async with contextlib.AsyncExitStack() as stack:
        transport = await stack.enter_async_context(Transport(_limits(config)))
        tracing = _tracing(config, stack)
        gateway = GatewayServicer(transport, Attempts(metrics), drain, FloatTrust())
        interceptors: Sequence[Interceptor] = (
            ErrorInterceptor(),  # outermost: `abort` sends the answer, so it comes after the record
            TelemetryInterceptor(metrics, tracing),  # counts refusals too, and the audit's own failures
            AuditInterceptor(call_log),  # refusals are recorded, hence outside the check of credentials
            AuthInterceptor(),  # innermost: whoever it refuses is refused before the body is received
        )
        chain = Chain(interceptors, SERVICES, _opener(reloader))
        server = grpc.aio.server(interceptors=(chain,), options=options_of(config.server))
        add_service(server, GATEWAY, gateway, RpcOptions(config.server.body_timeout_seconds))
        healthy = await _add_health(server)
        if _reflects(config):
            reflection.enable(server, SERVICES)
        port = _bind(server, loaded)
        metrics_port = _serve_metrics(config, metrics, stack)
        await server.start()
        stack.push_async_callback(_stop, server, healthy, chain, drain, config.server.drain_seconds)
        _start_watching(stack, reloader, metrics)
        _log.info("serving", listen=config.server.listen, port=port, metrics_port=metrics_port)
        yield Running(port, metrics_port, reloader, healthy)


async def serve(loaded: LoadedConfig) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP reloads the config."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(loaded) as service:
        loop.add_signal_handler(signal.SIGHUP, service.reloader.reload)
        # What a start leaves behind lives as long as the process: collections need not look at it again and again.
        gc.collect()
        gc.freeze()
        await stop.wait()
        _log.info("stopping")


async def _stop(
    server: grpc.aio.Server, healthy: health.aio.HealthServicer, chain: Chain, drain: Drain, drain_s: float
) -> None:
    await healthy.enter_graceful_shutdown()
    # Refuses new calls at once and gives running ones their time. A mesh's health Watch never ends by itself,
    # so as soon as our own calls have, the rest is only left time to send its last bytes.
    loop = asyncio.get_running_loop()
    end_s = loop.time() + drain_s
    stopping = asyncio.create_task(server.stop(drain_s))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(drain_s):
            await chain.idle()
    await server.stop(LAST_BYTES_S)
    await stopping
    # stop() returns before what the handlers left running has ended: the drain is waited for by itself.
    await drain.close(max(0.0, end_s - loop.time()))


def _opener(reloader: Reloader) -> OpenCall:
    margin_s = reloader.snapshot.loaded.config.server.deadline_margin_ms / 1000

    def open_call(rpc: str, context: Context) -> Call:
        now_s = asyncio.get_running_loop().time()
        deadline_s = deadline_s_of(rpc, context.time_remaining(), now_s, margin_s)
        metadata = context.invocation_metadata() or ()
        return Call(rpc, reloader.snapshot, deadline_s, peer=context.peer(), metadata=metadata)

    return open_call


async def _add_health(server: grpc.aio.Server) -> health.aio.HealthServicer:
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in ("", *SERVICES):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return servicer


def _bind(server: grpc.aio.Server, loaded: LoadedConfig) -> int:
    listen = loaded.config.server.listen
    tls = loaded.config.server.tls
    try:
        if tls is None:
            return server.add_insecure_port(listen)
        certificate = Certificate(loaded.path(tls.certificate_file), loaded.path(tls.private_key_file))
        return server.add_secure_port(listen, certificate.credentials())
    except RuntimeError:
        raise ConfigError([f"server.listen: {listen} cannot be bound"]) from None


def _serve_metrics(config: Config, metrics: Metrics, stack: contextlib.AsyncExitStack) -> int | None:
    if not config.metrics.enabled:
        return None
    try:
        server = metrics.serve(config.metrics.listen)
    except OSError as error:
        raise ConfigError([f"metrics.listen: {config.metrics.listen}: {error.strerror}"]) from None
    stack.callback(server.close)
    return server.port


def _tracing(config: Config, stack: contextlib.AsyncExitStack) -> "Tracing | None":
    if not config.tracing.enabled:
        return None
    try:
        from service.telemetry.tracing import Tracing  # noqa: PLC0415 (an optional extra)
    except ImportError:
        raise ConfigError(["tracing.enabled: install cohort[otel]"]) from None
    tracing = Tracing()
    stack.callback(tracing.close)
    return tracing


def _start_watching(stack: contextlib.AsyncExitStack, reloader: Reloader, metrics: Metrics) -> None:
    for work in (
        watch(reloader.config_files, reloader.reload),
        watch(reloader.key_files, reloader.renew_keys),
        metrics.watch_loop(),
    ):
        stack.callback(asyncio.create_task(work).cancel)


def _limits(config: Config) -> TransportLimits:
    cohere = config.cohere
    return TransportLimits(
        connections_max=cohere.connections_max,
        pool_wait_s=cohere.pool_wait_seconds,
        connect_timeout_s=cohere.connect_timeout_seconds,
        silence_timeout_s=cohere.silence_timeout_seconds,
        answer_bytes_max=cohere.answer_bytes_max,
    )


def _reflects(config: Config) -> bool:
    wanted = config.server.reflection
    return wanted == "on" or (wanted == "auto" and is_loopback(host_of(config.server.listen)))

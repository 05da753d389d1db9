"""The composition root: open → wire → serve → drain → close. Every object of the service is made here."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import grpc.aio
import structlog

from clients.pacing.pacer import Pacer
from clients.teams import FloatTrust
from clients.transport import Transport, TransportLimits
from cohort.v1 import admin_service_pb2, gateway_service_pb2
from service import ports, process, reflection
from service.address import host_of, is_loopback
from service.attempts import Attempts
from service.audit_keys import audit_keys_of
from service.authentication import Authentication, authentication
from service.bookkeeping import Bookkeeping, bookkeeping, checkpointer_of, last_prices
from service.books.alerts import Alerts
from service.call import Call
from service.cohere_keys.opening import key_rotation
from service.cohere_keys.watch import watching_keys
from service.config import Config, LoadedConfig
from service.context import Context
from service.drain import Drain
from service.health import Health
from service.identity.peer import Peers, no_peer
from service.identity.trust_domains import TrustDomains
from service.interceptors.audit import AuditInterceptor
from service.interceptors.auth import AuthInterceptor
from service.interceptors.chain import Chain, Interceptor, OpenCall
from service.interceptors.error import ErrorInterceptor
from service.interceptors.telemetry import TelemetryInterceptor
from service.limiting import limiting
from service.pacing.opening import pacing
from service.reload import Reloader
from service.rpc import RpcOptions, add_service
from service.servicers.exchange import Exchange
from service.servicers.gateway import GatewayServicer
from service.servicers.operating import operating
from service.servicers.probe import SmallestCall
from service.servicers.rotate_key import RotateKeyServicer
from service.snapshot import BudgetTerms, Snapshot, require_small_moves, snapshot_of
from service.status import Outcome
from service.telemetry import log
from service.telemetry.metrics import Metrics
from service.telemetry.opening import open_tracing, serve_metrics
from service.transport_options import STREAM_DEADLINE_MAX_S, deadline_s_of, options_of
from service.watch import watch

GATEWAY = gateway_service_pb2.DESCRIPTOR.services_by_name["GatewayService"]
ADMIN = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
SERVICES = frozenset({GATEWAY.full_name, ADMIN.full_name})

LAST_BYTES_S = 1.0
ATTEMPT_MARGIN_S = 60.0
"""How much longer than a call and its drain an attempt may stay open before it is believed lost."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers."""

    port: int
    mtls_port: int | None
    metrics_port: int | None
    reloader: Reloader
    health: Health
    kept: Bookkeeping


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
    metrics = Metrics(lambda: log_stream.lines_lost)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(log_stream.flush)
        health = Health(SERVICES)
        reloader, kept, authentic, pacer = await _opened(loaded, metrics, health, stack)
        call_log = log.CallLog(log_stream)
        chain, drain, server = await _wired(reloader, kept, authentic, pacer, metrics, call_log, stack)
        await health.open(server)
        port, mtls_port = ports.bind(server, loaded, authentic.trust_domains)
        metrics_port = serve_metrics(loaded.config, metrics, stack)
        await server.start()
        stack.push_async_callback(_stop, server, health, chain, drain, loaded.config.server.drain_seconds)
        _start_tasks(stack, reloader, metrics, health, kept)
        _follow_bundles(stack, authentic.trust_domains)
        open_ports = {"port": port, "mtls_port": mtls_port, "metrics_port": metrics_port}
        _log.info("serving", listen=loaded.config.server.listen, **open_ports)
        yield Running(port, mtls_port, metrics_port, reloader, health, kept)


async def _opened(
    loaded: LoadedConfig, metrics: Metrics, health: Health, stack: contextlib.AsyncExitStack
) -> tuple[Reloader, Bookkeeping, Authentication, Pacer]:
    """What must be there before a call can be: the snapshot and the books."""
    snapshot = snapshot_of(loaded)
    alerts = Alerts(metrics.alert_raised, lambda: reloader.snapshot.alert_cost_nanos)
    keys = audit_keys_of(loaded)

    def told(available: bool) -> None:  # noqa: FBT001 (a callback of one value)
        health.books_told(available)
        metrics.books_told(available)

    kept = await stack.enter_async_context(bookkeeping(loaded, keys, alerts, told, metrics.books_waited))
    require_small_moves(await last_prices(kept.database, snapshot.price_book.version), snapshot.price_book)
    authentic = await stack.enter_async_context(authentication(kept.books, alerts))
    pacer = await stack.enter_async_context(pacing(kept, metrics))

    def take_over(snapshot: Snapshot) -> None:
        kept.take_over(snapshot)
        authentic.take_over(snapshot)
        pacer.take_over(snapshot.allowances)

    reloader = Reloader(snapshot, take_over)
    take_over(snapshot)
    kept.checkpointer = checkpointer_of(loaded, keys, kept)
    checkpoints = asyncio.create_task(kept.checkpointer.run())
    stack.callback(checkpoints.cancel)
    return reloader, kept, authentic, pacer


async def _wired(
    reloader: Reloader,
    kept: Bookkeeping,
    authentic: Authentication,
    pacer: Pacer,
    metrics: Metrics,
    call_log: log.CallLog,
    stack: contextlib.AsyncExitStack,
) -> tuple[Chain, Drain, grpc.aio.Server]:
    config = reloader.snapshot.loaded.config
    audit = AuditInterceptor(call_log, kept.books, kept.refusals)

    def drained(call: Call, outcome: Outcome) -> None:
        metrics.drained(outcome)
        audit.drained(call, outcome)

    def budget_of(team: str) -> BudgetTerms | None:
        return reloader.snapshot.budgets.get(team)

    drain = Drain(config.server.drain_seconds, drained)
    transport = await stack.enter_async_context(Transport(_limits(config)))
    limits = await stack.enter_async_context(limiting(kept, reloader))
    tracing = open_tracing(config, stack)
    attempts = Attempts(pacer, kept.books, budget_of, metrics, kept.alerts, strict=config.books.strict)
    peer_of = no_peer if config.server.mtls is None else Peers(authentic.trust_domains).peer_of
    interceptors: Sequence[Interceptor] = (
        ErrorInterceptor(limits.tightest),  # outermost: `abort` sends the answer, so it comes after the record
        TelemetryInterceptor(metrics, tracing),  # counts refusals too, and the audit's own failures
        audit,  # refusals are recorded, hence outside the check of credentials
        # Innermost: whoever it refuses is refused before the body is received.
        AuthInterceptor(authentic.authenticator, peer_of),
    )
    chain = Chain(interceptors, SERVICES, _opener(reloader))
    server = grpc.aio.server(interceptors=(chain,), options=options_of(config.server))
    options = RpcOptions(config.server.body_timeout_seconds)
    exchange = Exchange(transport, kept.hasher)
    gateway = GatewayServicer(exchange, attempts, drain, FloatTrust(), kept.hasher, limits, kept.books)
    rotating = await _rotating(reloader, kept, metrics, exchange, attempts, stack)
    add_service(server, GATEWAY, (gateway, rotating), options)
    add_service(server, ADMIN, operating(kept.books, authentic, limits, pacer.waiting), options)
    if _reflects(config):
        reflection.enable(server, SERVICES)
    return chain, drain, server


async def _rotating(
    reloader: Reloader,
    kept: Bookkeeping,
    metrics: Metrics,
    exchange: Exchange,
    attempts: Attempts,
    stack: contextlib.AsyncExitStack,
) -> RotateKeyServicer:
    """Rotates, checks and watches Cohere keys, and does so for who asks."""
    snapshot = reloader.snapshot
    probe = SmallestCall(exchange, attempts, kept.hasher, lambda: reloader.snapshot)
    made = key_rotation(snapshot, kept.books, kept.alerts, metrics, probe, _attempt_us_max(snapshot))
    rotation = await stack.enter_async_context(made)
    reloader.ask_first(rotation.take_over)
    cohere = snapshot.loaded.config.cohere
    watching = watching_keys(cohere, lambda: reloader.snapshot.clients, kept.alerts, metrics, rotation.survived)
    await stack.enter_async_context(watching)
    return RotateKeyServicer(rotation.rotations, rotation.replica.fingerprints)


async def serve(loaded: LoadedConfig) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP reloads the config."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hung_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)  # before it serves: until then a SIGHUP would end the process
    async with running(loaded) as service:
        reloading = asyncio.create_task(_reload_on(hung_up, service.reloader))
        # What a start leaves behind lives as long as the process: collections need not look at it again and again.
        gc.collect()
        gc.freeze()
        await stop.wait()
        reloading.cancel()
        _log.info("stopping")


async def _reload_on(hung_up: asyncio.Event, reloader: Reloader) -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        try:
            reloader.reload()
        except Exception as error:  # the next edit may be better
            _log.error("change not taken", exc_info=error)


async def _stop(server: grpc.aio.Server, health: Health, chain: Chain, drain: Drain, drain_s: float) -> None:
    await health.stop()
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


def _follow_bundles(stack: contextlib.AsyncExitStack, trust_domains: TrustDomains) -> None:
    # Handshakes look for themselves; this is for the connections that there are.
    stack.callback(asyncio.create_task(watch(trust_domains.files, trust_domains.look)).cancel)


def _start_tasks(
    stack: contextlib.AsyncExitStack, reloader: Reloader, metrics: Metrics, health: Health, kept: Bookkeeping
) -> None:
    for work in (
        watch(reloader.config_files, reloader.reload, seen=reloader.seen),
        metrics.watch_loop(),
        health.follow_books(),
        kept.keep_house(lambda: reloader.snapshot, _attempt_us_max(reloader.snapshot)),
    ):
        stack.callback(asyncio.create_task(work).cancel)


def _attempt_us_max(snapshot: Snapshot) -> int:
    drain_s = snapshot.loaded.config.server.drain_seconds
    return int((STREAM_DEADLINE_MAX_S + drain_s + ATTEMPT_MARGIN_S) * 1_000_000)


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

"""`cohort demo`: Cohort in one command, on real Cohere if CO_API_KEY is set, else on the sandbox."""

import argparse
import asyncio
import contextlib
import datetime
import os
import socket
from pathlib import Path
from typing import BinaryIO

import grpc.aio
import uvloop
from yarl import URL

from clients.errors import SecretMissing
from clients.secrets.reference import reference_of
from cohort.client import CohortError, access_key_interceptors
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from service.address import host_of
from service.cli import calling, defaults, demo_folder, demo_key
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import cannot_bind, loopback_address, problems_told
from service.cli.demo_folder import Addresses, DemoFolder
from service.cli.demo_lines import QUESTION, Program, paste_cohort_call, paste_grpcurl, paste_python
from service.cli.printing import ChatPrinter
from service.cli.sandbox import sandbox_at
from service.cli.stopping import stop_requested
from service.config import LoadedConfig, environment_variable
from service.server import running

FIRST_CHAT_TIMEOUT_S = 60.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--folder", type=Path, default=defaults.DEMO_FOLDER, help="made once, then reused (default: %(default)s)"
    )
    for flag, what, default in (
        ("--listen", "where Cohort serves", defaults.LISTEN),
        ("--metrics-listen", "where its metrics are read", defaults.METRICS_LISTEN),
        ("--sandbox-listen", "where the sandbox serves", defaults.SANDBOX_LISTEN),
    ):
        parser.add_argument(
            flag,
            type=loopback_address,
            metavar="HOST:PORT",
            help=f"{what} (default: as the folder says; {default} in a new one)",
        )
    parser.set_defaults(run=_run)


async def _demo(folder: DemoFolder, *, sandbox: bool) -> None:
    stop = stop_requested()
    loaded = folder.config(sandbox=sandbox)
    _require_free_ports(loaded, sandbox=sandbox)
    async with contextlib.AsyncExitStack() as stack:
        if sandbox:
            url = await stack.enter_async_context(sandbox_at(_sandbox_listen(loaded)))
            print(f"No CO_API_KEY is set, so Cohere is the bundled sandbox at {url}: it costs nothing.")
        else:
            _require_cohere_key(loaded)
            print(f"CO_API_KEY is set, so Cohere is the real one at {loaded.config.cohere.base_url}: calls are billed.")
        await demo_key.let_in(folder, loaded, datetime.datetime.now(datetime.UTC))
        log = stack.enter_context(_log_file(folder.log_file))
        service = await stack.enter_async_context(running(loaded, log))
        target = f"{loaded.config.server.listen.rpartition(':')[0]}:{service.port}"
        print(f"Cohort serves on {target}, metrics on http://{loaded.config.metrics.listen}/metrics.")
        print(
            f"Config, secrets and log lines are in {folder.path}/ (log.jsonl has a line for each call).\n", flush=True
        )
        chat = asyncio.create_task(_first_chat(target, folder.access_key()))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((chat, stopped), return_when=asyncio.FIRST_COMPLETED)
        if chat.done():
            await chat
            _print_lines(target, folder)
        await stopped
        print("Stopping.", flush=True)


async def _first_chat(target: str, access_key: str) -> None:
    """One Chat through the real channel, as any caller makes it."""
    print(f'> Chat "{QUESTION}"', flush=True)
    request = ChatRequest(model=defaults.CHAT_MODEL, messages=[ChatMessage(role="user", text=QUESTION)])
    interceptors = access_key_interceptors(access_key)
    async with grpc.aio.insecure_channel(target, interceptors=interceptors) as channel:
        try:
            answer = await GatewayServiceStub(channel).Chat(request, timeout=FIRST_CHAT_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            print(calling.told(CohortError.of(error)), flush=True)
        else:
            ChatPrinter().print_whole(answer)


def _print_lines(target: str, folder: DemoFolder) -> None:
    program, access_key = Program.running(), folder.access_key()
    print("\nPaste into another terminal, in this folder:\n")
    print(paste_cohort_call(program, target, folder.access_key_file), end="\n\n")
    print(paste_grpcurl(target, access_key), end="\n\n")
    print(paste_python(program, target, access_key), end="\n\n")
    print("Ctrl-C stops.", flush=True)


def _require_free_ports(loaded: LoadedConfig, *, sandbox: bool) -> None:
    # gRPC would add lines of its own about a busy port, so it is asked about before.
    needed = {"--listen": loaded.config.server.listen, "--metrics-listen": loaded.config.metrics.listen}
    if sandbox:
        needed["--sandbox-listen"] = _sandbox_listen(loaded)
    for flag, listen in needed.items():
        host = host_of(listen)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(listen.rpartition(":")[2])))
            except OSError as error:
                message = f"{cannot_bind(listen, error)}; {flag} chooses another address"
                raise CommandFailed(message, NOT_STARTED) from None


def _sandbox_listen(loaded: LoadedConfig) -> str:
    url = URL(loaded.config.cohere.base_url)
    if url.scheme != "http":
        raise CommandFailed(f"{loaded.file}: cohere.base_url is no address for a sandbox", NOT_STARTED)
    return f"{url.host_subcomponent}:{url.port}"


def _require_cohere_key(loaded: LoadedConfig) -> None:
    for team in loaded.config.teams.values():
        if reference_of(team.cohere_key).kind not in {"env", "file"}:
            continue
        try:
            loaded.secret(team.cohere_key).read()
        except SecretMissing as missing:
            raise CommandFailed(str(missing), NOT_STARTED) from None


def _log_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _run(arguments: argparse.Namespace) -> int:
    addresses = Addresses(arguments.listen, arguments.metrics_listen, arguments.sandbox_listen)
    with problems_told():
        folder = demo_folder.opened(arguments.folder, addresses)
        uvloop.run(_demo(folder, sandbox=environment_variable("CO_API_KEY") is None))
    return 0

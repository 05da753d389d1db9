"""`cohort sandbox`: serves the local Cohere until SIGTERM or Ctrl-C."""

import argparse
import contextlib
from collections.abc import AsyncIterator

import uvloop

from clients.sandbox import Sandbox
from clients.sandbox.keys import WELL_KNOWN
from service.address import host_of
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.configs import cannot_bind, loopback_address
from service.cli.defaults import SANDBOX_LISTEN
from service.cli.stopping import stop_requested


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--listen",
        type=loopback_address,
        default=SANDBOX_LISTEN,
        metavar="HOST:PORT",
        help="a loopback address (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


@contextlib.asynccontextmanager
async def sandbox_at(listen: str) -> AsyncIterator[str]:
    """Serves a sandbox while the context is open, and gives its URL.

    Args:
        listen: `HOST:PORT` on loopback.

    Raises:
        CommandFailed: The address cannot be bound.
    """
    async with contextlib.AsyncExitStack() as stack:
        port = int(listen.rpartition(":")[2])
        try:
            url = await stack.enter_async_context(Sandbox().serve(host=host_of(listen), port=port))
        except OSError as error:
            raise CommandFailed(cannot_bind(listen, error), NOT_STARTED) from None
        yield url


async def _serve(listen: str) -> None:
    stop = stop_requested()
    async with sandbox_at(listen) as url:
        print(f"A sandbox that answers as Cohere does, at {url}, until Ctrl-C.")
        print("Its Cohere keys:", ", ".join(key.secret for key in WELL_KNOWN), flush=True)
        await stop.wait()


def _run(arguments: argparse.Namespace) -> int:
    uvloop.run(_serve(arguments.listen))
    return 0

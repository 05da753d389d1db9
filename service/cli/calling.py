"""What every command shares that calls Cohort: where Cohort is, who calls, and how a failed call is told."""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from cohort.client import CohortError
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from service.address import host_of, is_loopback
from service.cli.caller_credential import add_credentials, caller_credential
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.defaults import LISTEN
from service.cli.printing import printable

TIMEOUT_DEFAULT_S = 300.0
ATTEMPTS_MAX = 3
AGAIN_AFTER_S = 1.0

_WORTH_ANOTHER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL})
_PERHAPS_DONE = _WORTH_ANOTHER | {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_OPTIONS = [("grpc.max_receive_message_length", -1)]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """An open channel to Cohort, with a credential."""

    stub: GatewayServiceStub
    admin: AdminServiceStub
    timeout_s: float

    def call(self, method: Callable[..., T], request: object) -> T:
        """Calls a method of a stub.

        Raises:
            CommandFailed: The call failed; says how.
        """
        try:
            return method(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            raise CommandFailed(told(CohortError.of(error))) from None

    def make(self, method: Callable[..., T], request: object, advice: str) -> T:
        """Calls a method that makes something once for each request_id: again, where only the answer may be lost.

        Raises:
            CommandFailed: The call failed; says how, and *advice* if it may have been made all the same.
        """
        attempts = ATTEMPTS_MAX
        while True:
            attempts -= 1
            try:
                return method(request, timeout=self.timeout_s)
            except grpc.RpcError as error:
                failure = CohortError.of(error)
            if failure.code not in _PERHAPS_DONE:
                raise CommandFailed(told(failure))
            if attempts == 0 or failure.code not in _WORTH_ANOTHER:
                raise CommandFailed(f"{told(failure)}\n  {advice}")
            time.sleep(failure.retry_after_s or AGAIN_AFTER_S)

    def stream(self, method: Callable[..., Iterator[T]], request: object) -> Iterator[T]:
        """Calls a streaming method of the stub and gives its messages as they arrive.

        Raises:
            CommandFailed: The call failed, perhaps after some messages; says how.
        """
        events: Any = method(request, timeout=self.timeout_s)
        try:
            yield from events
        except grpc.RpcError as error:
            raise CommandFailed(told(CohortError.of(error))) from None
        finally:
            events.cancel()


@contextlib.contextmanager
def caller(arguments: argparse.Namespace) -> Iterator[Caller]:
    """Opens the channel that the arguments of `add_target` describe.

    Raises:
        CommandFailed: There is no credential, or it would travel in clear.
    """
    credential = caller_credential(arguments)
    with _channel(arguments) as channel:
        authenticated = credential.on(channel)
        yield Caller(GatewayServiceStub(authenticated), AdminServiceStub(authenticated), arguments.timeout_seconds)


def told(failure: CohortError) -> str:
    """A failed call in words: reason, message, every violation, how long to wait, the id of the call."""
    code = failure.code.name
    lines = [f"{failure.reason} ({code}): {failure.message}" if failure.reason else f"{code}: {failure.message}"]
    lines += [
        f"  {each.field}: {each.description} ({each.reason})"
        for each in failure.violations
        if each.description != failure.message
    ]
    if failure.retry_after_s is not None:
        lines.append(f"  retry after {failure.retry_after_s:g} s")
    if failure.call_id:
        lines.append(f"  call {failure.call_id}")
    return printable("\n".join(lines))


def add_target(parser: argparse.ArgumentParser) -> None:
    """Adds where Cohort is and who calls."""
    target = parser.add_argument_group("where Cohort is, and who calls")
    target.add_argument("--target", default=LISTEN, metavar="HOST:PORT", help="default: %(default)s")
    target.add_argument("--tls", action="store_true", help="call over TLS, trusting the public CAs that gRPC brings")
    target.add_argument("--ca-file", type=Path, metavar="FILE", help="call over TLS, trusting the CAs in this PEM file")
    target.add_argument(
        "--plaintext-off-loopback", action="store_true", help="show the credential to the network on the way"
    )
    add_credentials(target)
    target.add_argument(
        "--timeout-seconds",
        type=float,
        default=TIMEOUT_DEFAULT_S,
        metavar="S",
        help="how long the whole call may take (default: %(default)g)",
    )


def _channel(arguments: argparse.Namespace) -> grpc.Channel:
    target = arguments.target
    if arguments.tls or arguments.ca_file is not None:
        return grpc.secure_channel(target, _trusted(arguments.ca_file), options=_OPTIONS)
    if not is_loopback(host_of(target)) and not arguments.plaintext_off_loopback:
        raise CommandFailed(
            f"{target} is another machine, and without --tls or --ca-file the network sees the credential;"
            " --plaintext-off-loopback allows that",
            NOT_STARTED,
        )
    return grpc.insecure_channel(target, options=_OPTIONS)


def _trusted(ca_file: Path | None) -> grpc.ChannelCredentials:
    try:
        return grpc.ssl_channel_credentials(ca_file.read_bytes() if ca_file else None)
    except OSError as error:
        raise CommandFailed(f"--ca-file: {error}", NOT_STARTED) from None

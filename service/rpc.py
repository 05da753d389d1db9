"""Registers servicers so that each RPC's body is read and parsed by us, after the interceptors have passed it on.

Each method becomes a request-streaming handler without a deserializer. The wire is the same as for a plain unary
request, but a refused caller's body is never received, malformed bytes become our INVALID_ARGUMENT instead of
gRPC's UNKNOWN with a Python trace, and a caller that sends no body is let go after a timeout.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message

from service.call import current_call
from service.context import Context
from service.errors import RequestBodyTimeout, RequestMalformed
from service.identity.scopes import SCOPES_OF_RPC
from service.offload import LARGE_BYTES, in_thread_if


@dataclass(frozen=True, slots=True)
class RpcOptions:
    """How request bodies are received."""

    body_timeout_s: float


def add_service(
    server: grpc.aio.Server, descriptor: ServiceDescriptor, servicers: Sequence[object], options: RpcOptions
) -> None:
    """Registers every method of a service.

    Args:
        server: Where to register.
        descriptor: The service; its methods name the request and response types.
        servicers: One of them has a coroutine `METHOD(request, context)` for each; a streaming one writes its messages
            itself.
        options: How bodies are received.

    Raises:
        LookupError: A method has no scope rule, no servicer, or more than one.
    """
    handlers = {}
    for method in descriptor.methods:
        rpc = f"/{descriptor.full_name}/{method.name}"
        if rpc not in SCOPES_OF_RPC:
            raise LookupError(f"{rpc} has no scope rule, so nobody may call it")
        behaviours = [getattr(servicer, method.name) for servicer in servicers if hasattr(servicer, method.name)]
        if len(behaviours) != 1:
            raise LookupError(f"{rpc} has {len(behaviours)} servicers, and needs one")
        handlers[method.name] = _handler(method, behaviours[0], options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(descriptor.full_name, handlers),))


def _handler(method: MethodDescriptor, behaviour: Callable[..., Any], options: RpcOptions) -> Any:
    request_class = message_factory.GetMessageClass(method.input_type)
    response_class = message_factory.GetMessageClass(method.output_type)

    async def endpoint(_: Any, context: Context) -> Message | None:
        request = await _received(request_class, context, options.body_timeout_s)
        response: Message | None = await behaviour(request, context)
        return response

    make = grpc.stream_stream_rpc_method_handler if method.server_streaming else grpc.stream_unary_rpc_method_handler
    return make(endpoint, None, response_class.SerializeToString)


async def _received(request_class: type[Message], context: Context, timeout_s: float) -> Message:
    raw: Any = await _in_time(context, timeout_s)
    if raw is grpc.aio.EOF:
        raise RequestMalformed
    call = current_call()
    call.request, call.request_bytes = raw, len(raw)
    try:
        return await in_thread_if(len(raw) > LARGE_BYTES, request_class.FromString, raw)
    except DecodeError:
        raise RequestMalformed from None


async def _in_time(context: Context, timeout_s: float) -> object:
    # asyncio.timeout does the same at ten times the cost, which shows in every call.
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine that runs has a task)
    late = False

    def give_up() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(timeout_s, give_up)
    try:
        return await context.read()
    except asyncio.CancelledError:
        if late and not task.uncancel():
            raise RequestBodyTimeout(timeout_s) from None
        raise
    finally:
        timer.cancel()

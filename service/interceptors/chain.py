"""Fits our interceptors to grpc.aio: one shape for unary and streaming RPCs, composed once per method.

Every method is registered as a request-streaming handler without a deserializer (`service.rpc`), so that nothing
of a refused caller's body is received; on the wire that is the same. Health and reflection pass untouched.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

from service import call as calls
from service.call import Call
from service.context import Context

Proceed: TypeAlias = Callable[[Call, Context], Awaitable[Message | None]]
OpenCall: TypeAlias = Callable[[str, Context], Call]


class Interceptor(Protocol):
    """Something that surrounds a call. Unary RPCs return a message; streaming ones write theirs and return None."""

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """Does its part before and after `await proceed(call, context)`; MUST let exceptions pass on."""


class Chain(grpc.aio.ServerInterceptor):
    """Runs interceptors, outermost first, around the methods of our own services.

    Args:
        interceptors: Outermost first.
        services: Full names of the services they surround.
        open_call: Makes the Call of an RPC from its method path and context.
    """

    def __init__(self, interceptors: Sequence[Interceptor], services: frozenset[str], open_call: OpenCall) -> None:
        self._interceptors = tuple(interceptors)
        self._services = services
        self._open_call = open_call
        self._handlers: dict[str, Any] = {}
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Waits until no call of ours is running."""
        await self._idle.wait()

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`; returns the surrounded handler, made once per method."""
        rpc = handler_call_details.method
        handler = self._handlers.get(rpc)
        if handler is not None:
            return handler
        inner = await continuation(handler_call_details)
        if inner is None or rpc[1:].partition("/")[0] not in self._services:
            return inner
        handler = self._handlers[rpc] = self._surrounded(rpc, inner)
        return handler

    def _surrounded(self, rpc: str, inner: Any) -> Any:
        endpoint = inner.stream_stream or inner.stream_unary
        proceed: Proceed = functools.partial(_enter, endpoint)
        for interceptor in reversed(self._interceptors):
            proceed = _around(interceptor, proceed)
        open_call = self._open_call

        async def behaviour(_: Any, context: Context) -> Message | None:
            call = open_call(rpc, context)
            calls.enter(call)
            self._running += 1
            self._idle.clear()
            try:
                return await proceed(call, context)
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()

        make = grpc.stream_stream_rpc_method_handler if inner.stream_stream else grpc.stream_unary_rpc_method_handler
        return make(behaviour, inner.request_deserializer, inner.response_serializer)


async def _enter(endpoint: Any, _: Call, context: Context) -> Message | None:
    response: Message | None = await endpoint(None, context)
    return response


def _around(interceptor: Interceptor, proceed: Proceed) -> Proceed:
    intercept = interceptor.intercept
    return lambda call, context: intercept(call, context, proceed)

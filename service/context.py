"""gRPC's context of one RPC, as our handlers know it."""

from typing import TYPE_CHECKING, Any, TypeAlias

import grpc.aio

if TYPE_CHECKING:
    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
else:  # grpc's class is not generic at run time
    Context = grpc.aio.ServicerContext

"""Server reflection under both of its names: v1, which newer tools ask for, and v1alpha, which the library serves.

The two protocols are the same on the wire (gRPC's reflection v1 only renamed the package).
"""

from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import _async as aio_reflection
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"


def enable(server: grpc.aio.Server, services: frozenset[str]) -> None:
    """Lets tools such as grpcurl ask which services and messages there are."""
    names = (*sorted(services), "grpc.health.v1.Health", reflection.SERVICE_NAME)
    servicer: Any = aio_reflection.ReflectionServicer(names)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    for name in (V1, reflection.SERVICE_NAME):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

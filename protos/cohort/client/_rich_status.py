"""The messages of google/rpc that statuses carry, as far as they are read here.

Declared by hand, in a pool of their own: a caller needs no package beside grpcio and protobuf to know why a call
failed, and nothing here meets the same messages of googleapis-common-protos, where that is installed. Numbers
and types are those of google/rpc/status.proto and google/rpc/error_details.proto.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_STRING, _BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_INT32, _INT64 = descriptor_pb2.FieldDescriptorProto.TYPE_INT32, descriptor_pb2.FieldDescriptorProto.TYPE_INT64
_PACKAGE = "cohort.client.rich_status"

# Message → field → (number, type; of another message by its name, repeated if it ends in []).
_SHAPES: dict[str, dict[str, tuple[int, descriptor_pb2.FieldDescriptorProto.Type.ValueType | str]]] = {
    "Any": {"type_url": (1, _STRING), "value": (2, _BYTES)},
    "Duration": {"seconds": (1, _INT64), "nanos": (2, _INT32)},
    "Status": {"code": (1, _INT32), "message": (2, _STRING), "details": (3, "Any[]")},
    "ErrorInfo": {"reason": (1, _STRING), "domain": (2, _STRING), "metadata": (3, "MetadataEntry[]")},
    "MetadataEntry": {"key": (1, _STRING), "value": (2, _STRING)},
    "RetryInfo": {"retry_delay": (1, "Duration")},
    "BadRequest": {"field_violations": (1, "FieldViolation[]")},
    "FieldViolation": {"field": (1, _STRING), "description": (2, _STRING), "reason": (3, _STRING)},
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="cohort/client/rich_status.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _SHAPES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            field.label = field.LABEL_OPTIONAL
            if isinstance(kind, int):
                field.type = kind
            else:
                field.type = field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{kind.removesuffix('[]')}"
                field.label = field.LABEL_REPEATED if kind.endswith("[]") else field.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    types = pool.FindFileByName(file.name).message_types_by_name
    return {name: message_factory.GetMessageClass(types[name]) for name in _SHAPES}


_CLASSES = _classes()
Status = _CLASSES["Status"]
DETAILS = {f"google.rpc.{name}": _CLASSES[name] for name in ("ErrorInfo", "RetryInfo", "BadRequest")}

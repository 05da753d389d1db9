import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from cohort.client import CohortError, Violation, _rich_status
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.unit.client.conftest import Service

DETAILS = "grpc-status-details-bin"


def status_bytes(*details: Message) -> bytes:
    packed = []
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    serialized: bytes = status_pb2.Status(code=3, message="no", details=packed).SerializeToString()
    return serialized


async def aio_failure(service: Service, rpc: str) -> grpc.RpcError:
    async with grpc.aio.insecure_channel(service.target) as channel:
        call = getattr(GatewayServiceStub(channel), rpc)(ChatRequest())
        with pytest.raises(grpc.RpcError) as caught:
            await (call if rpc == "Chat" else call.read())
    return caught.value


async def blocking_failure(service: Service, rpc: str) -> grpc.RpcError:
    def call() -> object:
        with grpc.insecure_channel(service.target) as channel:
            answer = getattr(GatewayServiceStub(channel), rpc)(ChatRequest())
            return answer if rpc == "Chat" else next(answer)

    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(call)
    return caught.value


FailureOf: TypeAlias = Callable[[Service, str], Awaitable[grpc.RpcError]]
both_kinds_of_channel = pytest.mark.parametrize("failure_of", [aio_failure, blocking_failure], ids=["aio", "blocking"])


FULL = (
    error_details_pb2.ErrorInfo(reason="REQUEST_INVALID", domain="cohort", metadata={"violations": "2"}),
    error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2, nanos=500_000_000)),
    error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="p", reason="TOO_LARGE", description="at most 0.99"),
            error_details_pb2.BadRequest.FieldViolation(field="k", reason="TOO_SMALL", description="at least 0"),
        ]
    ),
)


@pytest.mark.parametrize("rpc", ["Chat", "ChatStream"])
@both_kinds_of_channel
async def test_a_failure_tells_everything_the_service_said(service: Service, failure_of: FailureOf, rpc: str) -> None:
    trailers = ((DETAILS, status_bytes(*FULL)), ("x-call-id", "0198"))
    service.refusal = (grpc.StatusCode.INVALID_ARGUMENT, "no", trailers)
    failure = CohortError.of(await failure_of(service, rpc))

    assert vars(failure) == vars(
        CohortError(
            code=grpc.StatusCode.INVALID_ARGUMENT,
            message="no",
            reason="REQUEST_INVALID",
            metadata={"violations": "2"},
            retry_after_s=2.5,
            violations=(Violation("p", "TOO_LARGE", "at most 0.99"), Violation("k", "TOO_SMALL", "at least 0")),
            call_id="0198",
        )
    )


@both_kinds_of_channel
async def test_a_status_of_grpc_itself_has_a_code_and_no_reason(service: Service, failure_of: FailureOf) -> None:
    service.target = "127.0.0.1:1"  # where nobody listens
    failure = CohortError.of(await failure_of(service, "Chat"))

    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert failure.message
    assert (failure.reason, failure.call_id, failure.retry_after_s, failure.violations) == ("", "", None, ())


def test_a_failure_reads_as_one_line_that_names_the_call() -> None:
    failure = CohortError(grpc.StatusCode.ABORTED, "No luck", "COHERE_CONFLICT", call_id="0198")

    assert str(failure) == "ABORTED COHERE_CONFLICT: No luck (call 0198)"


def test_a_failure_survives_pickling() -> None:
    failure = CohortError(grpc.StatusCode.ABORTED, "No luck", violations=(Violation("p", "TOO_LARGE", "at most 1"),))

    assert vars(pickle.loads(pickle.dumps(failure))) == vars(failure)


def aio_error(trailers: bytes) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata((DETAILS, trailers))
    return grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), metadata, "details")


def test_a_reason_of_another_domain_is_not_taken_for_ours() -> None:
    foreign = error_details_pb2.ErrorInfo(reason="CREDENTIAL_REJECTED", domain="proxy.example")

    assert CohortError.of(aio_error(status_bytes(foreign))).reason == ""


@given(st.binary())
def test_broken_details_never_hide_the_failure(trailers: bytes) -> None:
    failure = CohortError.of(aio_error(trailers))

    assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "details")


def test_a_broken_detail_leaves_the_others_readable() -> None:
    status = status_pb2.Status.FromString(status_bytes(*FULL))
    status.details[0].value = b"\xff"
    failure = CohortError.of(aio_error(status.SerializeToString()))

    assert failure.reason == ""
    assert len(failure.violations) == 2


@pytest.mark.parametrize("ours", [_rich_status.Status, *_rich_status.DETAILS.values()])
def test_the_messages_declared_here_read_as_those_of_google_rpc(ours: type[Message]) -> None:
    theirs = getattr(status_pb2, ours.DESCRIPTOR.name, None) or getattr(error_details_pb2, ours.DESCRIPTOR.name)

    assert described(ours.DESCRIPTOR, ours.DESCRIPTOR) == described(ours.DESCRIPTOR, theirs.DESCRIPTOR)


def described(ours: Any, message: Any) -> dict[str, object]:
    """What is on the wire for the fields of *ours*, as *message* declares them, nested messages included."""
    fields = {field.name: (field, message.fields_by_name[field.name]) for field in ours.fields}
    return {
        name: (
            field.number,
            field.type,
            field.is_repeated,
            described(own.message_type, field.message_type) if own.message_type else None,
        )
        for name, (own, field) in fields.items()
    }

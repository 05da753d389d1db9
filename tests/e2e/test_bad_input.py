"""Every row of the validation tables through a real channel: all violations arrive, and nothing reaches Cohere."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.server import GATEWAY
from tests.e2e.cohort_service import Cohort
from tests.e2e.requests import Refusal, refusal_of, refused, refused_stream
from tests.e2e.requests import chat as valid_chat
from tests.unit.validation.chat_rows import CHAT_ROWS
from tests.unit.validation.embed_rows import EMBED_ROWS, RERANK_ROWS
from tests.unit.validation.tables import Row, chat, embed, rerank

MESSAGE_BYTES_MAX = 32 * 1024 * 1024
# Almost any bytes are a request for usage, or for a rotation, that asks for nothing unusual.
METHODS = [method.name for method in GATEWAY.methods if method.name not in {"GetUsage", "RotateKey"}]


def found(refusal: Refusal) -> list[tuple[str, str]]:
    (bad,) = refusal.of(error_details_pb2.BadRequest)
    return [(violation.field, violation.reason) for violation in bad.field_violations]


async def expect(service: Cohort, method: str, row: Row) -> None:
    make = {"Chat": chat, "ChatStream": chat, "Embed": embed, "Rerank": rerank}[method]
    request = make(row.members)
    if request.ByteSize() > MESSAGE_BYTES_MAX:
        return  # gRPC refuses it before it is a request
    call = getattr(service.stub, method)(request, metadata=service.credentials)
    refusal = (await refused_stream(call))[1] if method == "ChatStream" else await refused(call)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"), row.what
    assert found(refusal)[: len(row.found)] == list(row.found), row.what


@pytest.mark.parametrize(
    ("method", "rows"),
    [("Chat", CHAT_ROWS), ("ChatStream", CHAT_ROWS), ("Embed", EMBED_ROWS), ("Rerank", RERANK_ROWS)],
)
async def test_every_row_is_refused_with_all_its_violations(service: Cohort, method: str, rows: list[Row]) -> None:
    for row in rows:
        await expect(service, method, row)
    print(f"{method}: {len(rows)} rows refused through the channel")

    assert not service.sent()
    assert (await service.stub.Chat(valid_chat(), metadata=service.credentials)).receipt.call_id
    assert not service.lines("unforeseen")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(method=st.sampled_from(METHODS), raw=st.binary(min_size=1, max_size=200))
async def test_no_bytes_get_more_than_a_refusal(service: Cohort, method: str, raw: bytes) -> None:
    rpc: Any = service.channel.unary_stream(f"/cohort.v1.GatewayService/{method}")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in rpc(raw, metadata=service.credentials):
            pass
    refusal = refusal_of(raised.value)

    assert refusal.reason in {"REQUEST_MALFORMED", "REQUEST_INVALID", "MODEL_NOT_ALLOWED"}
    assert "Traceback" not in refusal.message
    assert "Error parsing" not in refusal.message

"""Messages of megabytes: they pass, and the event loop stays free meanwhile."""

import base64

import grpc.aio
import pytest

from cohort.v1.chat_pb2 import ChatMessage, ContentBlock, ImageUrl
from tests.e2e.cohort_service import Cohort
from tests.e2e.requests import chat
from tests.unit.sandbox.pictures import png


async def test_twenty_megabytes_of_images_pass(service: Cohort) -> None:
    picture = png(64, 64)
    padded = picture + bytes(5_000_000 - len(picture))
    url = "data:image/png;base64," + base64.b64encode(padded).decode()
    blocks = [ContentBlock(text="What is this?"), *(ContentBlock(image_url=ImageUrl(url=url)) for _ in range(3))]
    response = await service.stub.Chat(
        chat(model="command-a-vision-07-2025", messages=[ChatMessage(role="user", content=blocks)]),
        metadata=service.credentials,
        timeout=60,
    )

    assert response.receipt.call_id
    (seen,) = service.sent()
    assert len(seen.body) > 20_000_000


async def test_a_message_above_the_bound_is_refused_and_the_next_is_served(service: Cohort) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.stub.Chat(chat("x" * 33 * 1024 * 1024), metadata=service.credentials)

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await service.stub.Chat(chat(), metadata=service.credentials)).receipt.call_id


async def test_a_gzipped_answer_is_read(service: Cohort) -> None:
    service.fault(gzip=True)
    assert (await service.stub.Chat(chat(), metadata=service.credentials)).message.content

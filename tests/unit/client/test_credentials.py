import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from google.protobuf.message import Message

from cohort.client import access_key_call_credentials, access_key_interceptors, with_access_key
from cohort.v1.chat_pb2 import ChatRequest, ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub, add_GatewayServiceServicer_to_server
from cohort.v1.rerank_pb2 import RerankRequest
from tests.unit.client.conftest import ANSWER, EVENTS, Service

KEY = "cohort_test_abc"
OTHER = (("authorization", "Bearer other"),)
REQUESTS: dict[str, Message] = {"Chat": ChatRequest(), "Embed": EmbedRequest(), "Rerank": RerankRequest()}
OPTIONS: dict[str, Any] = {"metadata": (("x-trace", "1"),), "timeout": 3600, "wait_for_ready": True}
EVERY_RPC = [
    *((type(request).__name__, [("x-api-key", KEY)]) for request in REQUESTS.values()),
    ("ChatRequest", [("x-api-key", KEY)]),
]


async def test_every_rpc_of_an_asyncio_channel_carries_the_access_key(service: Service) -> None:
    async with grpc.aio.insecure_channel(service.target, interceptors=access_key_interceptors(KEY)) as channel:
        stub = GatewayServiceStub(channel)
        for rpc, request in REQUESTS.items():
            await getattr(stub, rpc)(request)
        events = [event async for event in stub.ChatStream(ChatRequest())]

    assert events == list(EVENTS)
    assert service.calls == EVERY_RPC


async def test_every_rpc_of_a_blocking_channel_carries_the_access_key(service: Service) -> None:
    def call() -> list[ChatStreamResponse]:
        with with_access_key(grpc.insecure_channel(service.target), KEY) as channel:
            stub = GatewayServiceStub(channel)
            for rpc, request in REQUESTS.items():
                getattr(stub, rpc)(request)
            return list(stub.ChatStream(ChatRequest()))

    assert await asyncio.to_thread(call) == list(EVENTS)
    assert service.calls == EVERY_RPC


async def test_a_call_that_brings_a_credential_keeps_it_alone(service: Service) -> None:
    def call() -> None:
        with with_access_key(grpc.insecure_channel(service.target), KEY) as channel:
            GatewayServiceStub(channel).Chat(ChatRequest(), metadata=OTHER)

    await asyncio.to_thread(call)
    async with grpc.aio.insecure_channel(service.target, interceptors=access_key_interceptors(KEY)) as channel:
        await GatewayServiceStub(channel).Chat(ChatRequest(), metadata=OTHER)

    assert [credentials for _, credentials in service.calls] == [list(OTHER)] * 2


async def test_a_function_is_asked_for_the_access_key_before_each_call(service: Service) -> None:
    keys = iter(("first", "second"))
    interceptors = access_key_interceptors(lambda: next(keys))
    async with grpc.aio.insecure_channel(service.target, interceptors=interceptors) as channel:
        stub = GatewayServiceStub(channel)
        await stub.Chat(ChatRequest())
        await stub.Chat(ChatRequest())

    assert [credentials for _, credentials in service.calls] == [[("x-api-key", "first")], [("x-api-key", "second")]]


async def test_call_credentials_carry_the_access_key_over_tls(service: Service) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    server = grpc.aio.server()
    add_GatewayServiceServicer_to_server(service, server)
    port = server.add_secure_port(
        "localhost:0", grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    )
    await server.start()
    tls = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(authority.cert_pem.bytes()), access_key_call_credentials(KEY)
    )
    async with grpc.aio.secure_channel(f"localhost:{port}", tls) as channel:
        await GatewayServiceStub(channel).Chat(ChatRequest())
    await server.stop(None)

    assert service.calls == [("ChatRequest", [("x-api-key", KEY)])]


async def test_everything_else_about_a_blocking_call_stays_as_it_was(service: Service) -> None:
    def call() -> ChatResponse:
        with with_access_key(grpc.insecure_channel(service.target), KEY) as channel:
            return GatewayServiceStub(channel).Chat(ChatRequest(), **OPTIONS)

    assert await asyncio.to_thread(call) == ANSWER
    assert received(service) == ("1", 3600)


async def test_everything_else_about_an_asyncio_call_stays_as_it_was(service: Service) -> None:
    async with grpc.aio.insecure_channel(service.target, interceptors=access_key_interceptors(KEY)) as channel:
        assert await GatewayServiceStub(channel).Chat(ChatRequest(), **OPTIONS) == ANSWER

    assert received(service) == ("1", 3600)


def received(service: Service) -> tuple[str | bytes, Any]:
    # The deadline crosses the wire in coarse units, rounded up, and a busy machine takes its time.
    return service.trace, pytest.approx(service.remaining_s, abs=100)


@pytest.mark.parametrize("bad", ["", "1234\n", " 1234", "12 34", "schlüssel", "a\x00b"])
def test_what_cannot_be_an_access_key_is_refused_without_repeating_it(bad: str) -> None:
    with pytest.raises(ValueError, match="an access key is one word") as caught:
        access_key_interceptors(bad)

    assert not bad or bad not in str(caught.value)


async def test_what_a_function_returned_is_checked_as_well(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    async with grpc.aio.insecure_channel(
        service.target, interceptors=access_key_interceptors(file.read_text)
    ) as channel:
        with pytest.raises(ValueError, match="a newline at its end"):
            await GatewayServiceStub(channel).Chat(ChatRequest())

    assert service.calls == []


def test_no_representation_shows_the_access_key() -> None:
    shown = [*access_key_interceptors(KEY), access_key_call_credentials(KEY)]

    assert KEY not in repr(shown)

import asyncio

import grpc
import grpc.aio
import pytest

from cohort.client import bearer_call_credentials, bearer_interceptors, with_bearer
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.unit.client.conftest import Service

BEARER = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"


async def test_a_blocking_channel_carries_the_bearer_and_asks_for_it_before_each_call(service: Service) -> None:
    bearers = iter(("first", "second"))

    def call() -> None:
        with with_bearer(grpc.insecure_channel(service.target), lambda: next(bearers)) as channel:
            stub = GatewayServiceStub(channel)
            stub.Chat(ChatRequest())
            list(stub.ChatStream(ChatRequest()))

    await asyncio.to_thread(call)

    assert [credentials for _, credentials in service.calls] == [
        [("authorization", "Bearer first")],
        [("authorization", "Bearer second")],
    ]


async def test_an_asyncio_channel_carries_the_bearer(service: Service) -> None:
    async with grpc.aio.insecure_channel(service.target, interceptors=bearer_interceptors(BEARER)) as channel:
        await GatewayServiceStub(channel).Chat(ChatRequest())

    assert service.calls == [("ChatRequest", [("authorization", f"Bearer {BEARER}")])]


async def test_a_failing_source_of_bearers_fails_the_call_and_nothing_is_sent(service: Service) -> None:
    def ended() -> str:
        raise LookupError("the login has ended")

    def call() -> None:
        with with_bearer(grpc.insecure_channel(service.target), ended) as channel:
            stub = GatewayServiceStub(channel)
            with pytest.raises(LookupError, match="the login has ended"):
                stub.Chat(ChatRequest())
            with pytest.raises(LookupError, match="the login has ended"):
                list(stub.ChatStream(ChatRequest()))

    await asyncio.to_thread(call)

    assert service.calls == []


@pytest.mark.parametrize("bad", ["", "1234\n", "12 34", "schlüssel"])
def test_what_cannot_be_a_bearer_is_refused_without_repeating_it(bad: str) -> None:
    with pytest.raises(ValueError, match="a bearer is one word") as caught:
        bearer_call_credentials(bad)

    assert not bad or bad not in str(caught.value)


def test_no_representation_shows_the_bearer() -> None:
    shown = [*bearer_interceptors(BEARER), bearer_call_credentials(BEARER)]

    assert BEARER not in repr(shown)

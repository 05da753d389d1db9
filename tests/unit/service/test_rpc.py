import grpc
import grpc.aio
import pytest

from cohort.v1 import admin_service_pb2, gateway_service_pb2
from service.identity import scopes
from service.rpc import RpcOptions, add_service
from service.transport_options import STREAM_DEADLINE_MAX_S, STREAMING, UNARY_DEADLINE_DEFAULT_S, UNARY_DEADLINE_MAX_S
from service.transport_options import deadline_s_of as deadline

GATEWAY = gateway_service_pb2.DESCRIPTOR.services_by_name["GatewayService"]
ADMIN = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
CHAT, STREAM = "/cohort.v1.GatewayService/Chat", "/cohort.v1.GatewayService/ChatStream"


class Servicer:
    """Has every method, and answers none."""

    async def nothing(self, request: object, context: object) -> None: ...

    Chat = ChatStream = Embed = Rerank = GetUsage = nothing


async def test_an_rpc_without_a_scope_rule_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(scopes.SCOPES_OF_RPC, CHAT)
    with pytest.raises(LookupError, match="no scope rule"):
        add_service(grpc.aio.server(), GATEWAY, (Servicer(),), RpcOptions(1.0))


async def test_an_rpc_without_a_method_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Servicer, "Rerank")
    with pytest.raises(LookupError, match="Rerank has 0 servicers"):
        add_service(grpc.aio.server(), GATEWAY, (Servicer(),), RpcOptions(1.0))


async def test_an_rpc_with_two_methods_fails_the_start() -> None:
    with pytest.raises(LookupError, match="has 2 servicers"):
        add_service(grpc.aio.server(), GATEWAY, (Servicer(), Servicer()), RpcOptions(1.0))


def test_every_rule_is_for_an_rpc_that_exists() -> None:
    assert set(scopes.SCOPES_OF_RPC) == {
        f"/{service.full_name}/{method.name}" for service in (GATEWAY, ADMIN) for method in service.methods
    }


def test_streaming_rpcs_are_named_as_the_contract_has_them() -> None:
    streaming = {f"/{GATEWAY.full_name}/{method.name}" for method in GATEWAY.methods if method.server_streaming}

    assert streaming == STREAMING


@pytest.mark.parametrize(
    ("rpc", "remaining_s", "allowed_s"),
    [
        (CHAT, None, UNARY_DEADLINE_DEFAULT_S),
        (STREAM, None, STREAM_DEADLINE_MAX_S),
        (CHAT, 97_200_000.0, UNARY_DEADLINE_MAX_S),
        (STREAM, 97_200_000.0, STREAM_DEADLINE_MAX_S),
        (CHAT, 10.0, 9.98),
        (STREAM, 10.0, 9.98),
        (CHAT, 0.0, -0.02),
        (CHAT, -5.0, -5.02),
    ],
)
def test_deadlines_are_bounded_and_end_before_the_callers(
    rpc: str, remaining_s: float | None, allowed_s: float
) -> None:
    assert deadline(rpc, remaining_s, 1000.0, 0.02) == pytest.approx(1000.0 + allowed_s)

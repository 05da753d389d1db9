"""Every RPC of the contract, as its descriptors list them, a request for each, and how a call of it ends."""

import datetime
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import grpc.aio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import message_factory
from google.protobuf.message import Message

from cohort.v1 import admin_service_pb2, gateway_service_pb2
from cohort.v1.access_key_pb2 import (
    CreateAccessKeyRequest,
    ListAccessKeysRequest,
    RevokeAccessKeyRequest,
    RotateAccessKeyRequest,
)
from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.rotate_key_pb2 import RotateKeyRequest
from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
)
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from cohort.v1.usage_pb2 import Money
from service.identity.scopes import SCOPES_OF_RPC
from tests.e2e import requests
from tests.e2e.requests import refusal_of
from tests.identity.scene import Scene

TIMEOUT_S = 20.0
TEAM = "search"
"""Whose data every request is about."""

Code: TypeAlias = str
Reason: TypeAlias = str


class Ended(NamedTuple):
    """How a call ended."""

    code: Code
    reason: Reason = ""
    answer: bytes = b""
    """Its messages, one after the other."""
    details: bytes = b""
    """What the trailers of a refusal hold, and its text."""
    call_id: str = ""
    """From the trailers; empty if the call did not reach the service."""


@dataclass(frozen=True)
class Rpc:
    """One method."""

    path: str
    request: type[Message]
    response: type[Message]
    streams: bool

    async def call(
        self, channel: grpc.aio.Channel, request: Message, metadata: tuple[tuple[str, str | bytes], ...] = ()
    ) -> Ended:
        make = channel.unary_stream if self.streams else channel.unary_unary
        stub: Any = make(self.path, self.request.SerializeToString, self.response.FromString)
        call = stub(request, metadata=metadata, timeout=TIMEOUT_S)
        try:
            answers = [each async for each in call] if self.streams else [await call]
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            reason = refusal.reason if refusal.details else ""
            trailers = error.trailing_metadata()
            return Ended(error.code().name, reason, b"", f"{error!r}{trailers!r}".encode(), _call_id(trailers))
        answer = b"".join(answer.SerializeToString() for answer in answers)
        return Ended("OK", "", answer, call_id=_call_id(await call.trailing_metadata()))


def _call_id(trailers: Any) -> str:
    return str(dict(trailers or ()).get("x-call-id", ""))


RPCS = {
    f"/{service.full_name}/{method.name}": Rpc(
        f"/{service.full_name}/{method.name}",
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
        method.server_streaming,
    )
    for service in (
        gateway_service_pb2.DESCRIPTOR.services_by_name["GatewayService"],
        admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
    )
    for method in service.methods
}


@dataclass(frozen=True)
class Entry:
    """What the matrix knows of an RPC.

    Attributes:
        request: Of `TEAM`, and answered with OK to a caller of that team with the right scope.
        other_team: What a caller of another team gets who has the narrowest scope.
    """

    request: Callable[[Scene], Message]
    other_team: tuple[Code, Reason]


OK = ("OK", "")
NOT_YOURS = ("PERMISSION_DENIED", "SCOPE_MISSING")
UNKNOWN = ("NOT_FOUND", "CREDENTIAL_UNKNOWN")
"""Of another team's key nobody learns even that it is there."""
NOT_ALLOWED = ("PERMISSION_DENIED", "MODEL_NOT_ALLOWED")


def _public_key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _create_access_key(_: Scene) -> Message:
    request = CreateAccessKeyRequest(team=TEAM, name="made", scopes=["chat"])
    request.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
    return request


def _adjust_budget(_: Scene) -> Message:
    return AdjustBudgetRequest(team=TEAM, amount=Money(nanos=1), note="matrix", request_id=str(uuid.uuid4()))


def _create_service_account(_: Scene) -> Message:
    return CreateServiceAccountRequest(team=TEAM, name="made", scopes=["chat"], public_key=_public_key())


_ENTRIES = {
    "GatewayService/Chat": Entry(lambda _: requests.chat(), NOT_ALLOWED),
    "GatewayService/ChatStream": Entry(lambda _: requests.chat(), NOT_ALLOWED),
    "GatewayService/Embed": Entry(lambda _: requests.embed(), NOT_ALLOWED),
    "GatewayService/Rerank": Entry(lambda _: requests.rerank(), NOT_ALLOWED),
    "GatewayService/GetUsage": Entry(lambda _: GetUsageRequest(team=TEAM), NOT_YOURS),
    "GatewayService/RotateKey": Entry(lambda _: RotateKeyRequest(team=TEAM), NOT_YOURS),
    "AdminService/SetTeamFrozen": Entry(lambda _: SetTeamFrozenRequest(team=TEAM), OK),
    "AdminService/AdjustBudget": Entry(_adjust_budget, OK),
    "AdminService/ListAuditRecords": Entry(lambda _: ListAuditRecordsRequest(team=TEAM, page_size=1), NOT_YOURS),
    "AdminService/CreateAccessKey": Entry(_create_access_key, OK),
    "AdminService/ListAccessKeys": Entry(lambda _: ListAccessKeysRequest(team=TEAM), OK),
    "AdminService/RotateAccessKey": Entry(lambda scene: RotateAccessKeyRequest(id=scene.spares.pop()), UNKNOWN),
    "AdminService/RevokeAccessKey": Entry(lambda scene: RevokeAccessKeyRequest(id=scene.spares[0]), OK),
    "AdminService/CreateServiceAccount": Entry(_create_service_account, OK),
    "AdminService/ListServiceAccounts": Entry(lambda _: ListServiceAccountsRequest(team=TEAM), OK),
    "AdminService/RevokeServiceAccount": Entry(
        lambda scene: RevokeServiceAccountRequest(id=scene.minters.service_account.ids[TEAM, True]), OK
    ),
    "AdminService/ListTeams": Entry(lambda _: ListTeamsRequest(), OK),
    "AdminService/GetTeam": Entry(lambda _: GetTeamRequest(team=TEAM), NOT_YOURS),
}
ENTRIES = {f"/cohort.v1.{name}": entry for name, entry in _ENTRIES.items()}
"""By the path of the RPC. Where only `admin` opens an RPC, it does so for every team."""


def narrowest(path: str) -> str:
    """The narrowest scope that opens an RPC."""
    return SCOPES_OF_RPC[path][0]

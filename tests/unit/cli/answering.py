"""A service on loopback that gives the answers a test wants, and keeps what it was asked."""

import contextlib
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from cohort.v1.access_key_pb2 import (
    CreateAccessKeyRequest,
    ListAccessKeysRequest,
    RevokeAccessKeyRequest,
    RotateAccessKeyRequest,
)
from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
)
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest

ACCESS_KEY = "an-access-key"
_CREDENTIALS = {"x-api-key", "authorization"}
_REQUESTS: dict[str, dict[str, type[Message]]] = {
    "cohort.v1.GatewayService": {"GetUsage": GetUsageRequest},
    "cohort.v1.AdminService": {
        "SetTeamFrozen": SetTeamFrozenRequest,
        "AdjustBudget": AdjustBudgetRequest,
        "ListAuditRecords": ListAuditRecordsRequest,
        "ListTeams": ListTeamsRequest,
        "GetTeam": GetTeamRequest,
        "CreateAccessKey": CreateAccessKeyRequest,
        "ListAccessKeys": ListAccessKeysRequest,
        "RotateAccessKey": RotateAccessKeyRequest,
        "RevokeAccessKey": RevokeAccessKeyRequest,
        "CreateServiceAccount": CreateServiceAccountRequest,
        "ListServiceAccounts": ListServiceAccountsRequest,
        "RevokeServiceAccount": RevokeServiceAccountRequest,
    },
}


@dataclass
class Answering:
    """What is answered in turn, the last answer again and again, and what was asked."""

    answers: list[Message]
    refusal: tuple[grpc.StatusCode, str] | None = None
    lost: int = 0
    """How many answers get lost, beginning with the first."""
    target: str = ""
    requests: list[Message] = field(default_factory=list)
    credentials: list[dict[str, str | bytes]] = field(default_factory=list)

    def answer(self, request: Message, context: Any) -> Any:
        self.requests.append(request)
        metadata = dict(context.invocation_metadata())
        self.credentials.append({name: metadata[name] for name in _CREDENTIALS & metadata.keys()})
        if self.refusal is not None:
            context.abort(*self.refusal)
        if self.lost:
            self.lost -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def flags(self, folder: Path) -> list[str]:
        """What a command needs to call it."""
        (folder / "access_key").write_text(ACCESS_KEY)
        return ["--target", self.target, "--access-key-file", str(folder / "access_key")]


@contextlib.contextmanager
def answering(
    *answers: Message, refusal: tuple[grpc.StatusCode, str] | None = None, lost: int = 0
) -> Iterator[Answering]:
    """Serves while the context is open."""
    served = Answering(list(answers), refusal, lost)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    for service, requests in _REQUESTS.items():
        handlers: dict[str, grpc.RpcMethodHandler[Message, Message]] = {
            rpc: grpc.unary_unary_rpc_method_handler(
                served.answer, kind.FromString, lambda each: each.SerializeToString()
            )
            for rpc, kind in requests.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    served.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield served
    finally:
        server.stop(None).wait()

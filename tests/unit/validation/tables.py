"""Rows of the tables: a request written as JSON members, and exactly what must be found in it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.rerank_pb2 import RerankRequest
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from service.validation import (
    Violation,
    violations_of_adjust_budget,
    violations_of_chat,
    violations_of_embed,
    violations_of_get_team,
    violations_of_get_usage,
    violations_of_list_audit,
    violations_of_list_teams,
    violations_of_rerank,
    violations_of_set_frozen,
)

Members: TypeAlias = Mapping[str, Any]
AnyRequest: TypeAlias = ChatRequest | EmbedRequest | RerankRequest

CHAT: Members = {"model": "command-a-03-2025", "messages": [{"role": "user", "text": "Hi"}]}
EMBED: Members = {"model": "embed-v4.0", "input_type": "search_document", "texts": ["Hi"]}
RERANK: Members = {"model": "rerank-v3.5", "query": "Hi", "documents": ["Hello", "Bye"]}
ADJUST: Members = {
    "team": "search",
    "amount": {"units": 5},
    "note": "invoice of November",
    "request_id": "6f1b2c9e-0d3a-4a57",
}


class Row(NamedTuple):
    """One request and the paths and reasons found in it, in order.

    Attributes:
        what: What is wrong, as the test's id.
        members: Members that replace those of a valid request.
        found: Pairs of path and reason.
    """

    what: str
    members: Members
    found: Sequence[tuple[str, str]]


def chat(members: Members) -> ChatRequest:
    return ParseDict({**CHAT, **members}, ChatRequest())


def embed(members: Members) -> EmbedRequest:
    return ParseDict({**EMBED, **members}, EmbedRequest())


def rerank(members: Members) -> RerankRequest:
    return ParseDict({**RERANK, **members}, RerankRequest())


def get_usage(members: Members) -> GetUsageRequest:
    return ParseDict({**members}, GetUsageRequest())


def adjust_budget(members: Members) -> AdjustBudgetRequest:
    return ParseDict({**ADJUST, **members}, AdjustBudgetRequest())


def set_frozen(members: Members) -> SetTeamFrozenRequest:
    return ParseDict({"team": "search", **members}, SetTeamFrozenRequest())


def list_audit(members: Members) -> ListAuditRecordsRequest:
    return ParseDict({**members}, ListAuditRecordsRequest())


def list_teams(members: Members) -> ListTeamsRequest:
    return ParseDict({**members}, ListTeamsRequest())


def get_team(members: Members) -> GetTeamRequest:
    return ParseDict({**members}, GetTeamRequest())


def violations_of(request: Message) -> list[Violation]:
    match request:
        case ChatRequest():
            return violations_of_chat(request)
        case EmbedRequest():
            return violations_of_embed(request)
        case RerankRequest():
            return violations_of_rerank(request)
        case GetUsageRequest():
            return violations_of_get_usage(request)
        case AdjustBudgetRequest():
            return violations_of_adjust_budget(request)
        case SetTeamFrozenRequest():
            return violations_of_set_frozen(request)
        case ListAuditRecordsRequest():
            return violations_of_list_audit(request)
        case ListTeamsRequest():
            return violations_of_list_teams(request)
        case GetTeamRequest():
            return violations_of_get_team(request)
        case _:
            raise TypeError(request)


def found_in(request: Message) -> list[tuple[str, str]]:
    return [(violation.field, violation.reason) for violation in violations_of(request)]
